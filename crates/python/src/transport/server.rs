//! A server's connections: `Server._attach()` and `Server._detach()`.
//!
//! Role: tells a server which transports it has. From Python 3.13 on it keeps them in a `WeakSet`:
//! five Python functions for each connection. For a server whose methods are asyncio's own, with a
//! `WeakSet` that is nothing but that, the same is done here, to the set inside it. Everything else
//! has its methods called.
//!
//! Ownership: none; the set holds weak references. Thread: the loop's.

#[cfg(not(Py_3_13))]
pub use called::{attach, detach};
#[cfg(Py_3_13)]
pub use direct::{attach, detach, load};

#[cfg(not(Py_3_13))]
mod called {
    use crate::asyncio::names;
    use crate::ffi::{Obj, PyResult};

    /// `server._attach()`
    pub fn attach(server: &Obj, _: &Obj) -> PyResult<()> {
        server.call_method0(&names()._attach).map(drop)
    }

    /// `server._detach()`
    pub fn detach(server: &Obj, _: &Obj) -> PyResult<()> {
        server.call_method0(&names()._detach).map(drop)
    }
}

#[cfg(Py_3_13)]
mod direct {
    use crate::asyncio::names;
    use crate::ffi::gil::Global;
    use crate::ffi::module::import;
    use crate::ffi::names::declare_names;
    use crate::ffi::{Obj, PyResult};
    use crate::sync::hooks::Originals;

    declare_names! {
        /// Attributes of servers and of a `WeakSet`.
        struct Own {
            __len__, _clients, _pending_removals, _remove, _sockets, _wakeup, add, data, discard,
        }
    }

    /// What is gone past.
    #[derive(Debug)]
    struct Lookups {
        names: Own,
        /// `Server._attach`
        attach: Obj,
        /// `Server._detach`
        detach: Obj,
        /// `weakref.WeakSet`
        weak_set: Obj,
    }

    static LOOKUPS: Global<Lookups> = Global::new();
    static WEAK_SET_METHODS: Global<Originals> = Global::new();

    /// Looks up asyncio's own methods.
    pub fn load() -> PyResult<()> {
        let server = import(c"asyncio.base_events")?.attr(c"Server")?;
        LOOKUPS.set(Lookups {
            names: Own::intern()?,
            attach: server.attr(c"_attach")?,
            detach: server.attr(c"_detach")?,
            weak_set: import(c"weakref")?.attr(c"WeakSet")?,
        });
        let Lookups { names, weak_set, .. } = LOOKUPS.get();
        let methods = [&names.add, &names.discard, &names.__len__];
        WEAK_SET_METHODS.set(Originals::note(weak_set, &methods)?);
        Ok(())
    }

    /// `server._attach(transport)`
    pub fn attach(server: &Obj, transport: &Obj) -> PyResult<()> {
        let Lookups { names: own, attach, .. } = LOOKUPS.get();
        let method = server.getattr(&names()._attach)?;
        if method.is_method_of(attach, server)
            && !server.getattr(&own._sockets)?.is_none()
            && let Some((clients, set)) = plain_clients(server)?
        {
            let remove = clients.getattr(&own._remove)?;
            return set.set_add(&transport.weak_reference(Some(&remove))?);
        }
        method.call1(transport).map(drop)
    }

    /// `server._detach(transport)`
    pub fn detach(server: &Obj, transport: &Obj) -> PyResult<()> {
        let Lookups { names: own, detach, .. } = LOOKUPS.get();
        let method = server.getattr(&names()._detach)?;
        if method.is_method_of(detach, server)
            && let Some((_, set)) = plain_clients(server)?
        {
            set.set_discard(&transport.weak_reference(None)?)?;
            if set.len()? == 0 && server.getattr(&own._sockets)?.is_none() {
                return server.call_method0(&own._wakeup).map(drop);
            }
            return Ok(());
        }
        method.call1(transport).map(drop)
    }

    /// The `WeakSet` of a server's connections and the set in it, if both are as the interpreter
    /// made them and nothing waits to be taken out.
    fn plain_clients(server: &Obj) -> PyResult<Option<(Obj, Obj)>> {
        let Lookups { names: own, weak_set, .. } = LOOKUPS.get();
        let clients = server.getattr(&own._clients)?;
        if !clients.is_exactly(weak_set) || !WEAK_SET_METHODS.get().are_those_of(&clients) {
            return Ok(None);
        }
        // What died while somebody went through the set; not in all releases.
        let waiting = clients.getattr_or_none(&own._pending_removals)?;
        let set = clients.getattr(&own.data)?;
        Ok((!waiting.is_true()? && set.is_set()).then_some((clients, set)))
    }
}
