//! stream
use crate::ffi::method::{Methods, Properties};
use crate::ffi::native::TypeCell;
use crate::ffi::{NativeType, Obj, Py, PyResult, Visitor};
use batuta_engine::driver::Readiness;
#[derive(Debug)]
pub struct StreamTransport;
static STREAM: TypeCell = TypeCell::new();
impl NativeType for StreamTransport {
    const NAME: &'static std::ffi::CStr = c"batuta._batuta.StreamTransport";
    const DOC: &'static std::ffi::CStr = c"x";
    fn cell() -> &'static TypeCell {
        &STREAM
    }
    fn traverse(&self, _v: &mut Visitor) {}
    fn clear(&self) {}
    fn methods() -> Methods<Self> {
        Methods::new()
    }
    fn properties() -> Properties<Self> {
        Properties::new()
    }
}
impl Py<StreamTransport> {
    pub fn on_ready(&self, _r: Readiness) -> PyResult<()> {
        let _: Option<Obj> = None;
        Ok(())
    }
}
