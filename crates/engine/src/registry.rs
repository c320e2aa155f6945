//! The registry: one typed owner per file descriptor.
//!
//! Owns the table from descriptor to owner. Every registration gets a generation
//! of its own; an event whose token carries another generation belongs to a
//! former tenant of the number and finds nobody.

use std::os::fd::RawFd;

use crate::driver::Token;

#[derive(Debug)]
struct Registration<O> {
    generation: u32,
    owner: Option<O>,
}

/// Who owns which descriptor in one loop.
#[derive(Debug)]
pub struct Registry<O> {
    /// Indexed by descriptor: the system hands out the smallest free number, so
    /// the table stays dense.
    by_fd: Vec<Registration<O>>,
    owned: usize,
}

impl<O> Default for Registry<O> {
    fn default() -> Self {
        Self { by_fd: Vec::new(), owned: 0 }
    }
}

impl<O> Registry<O> {
    /// The owner of `fd` now.
    pub fn get(&self, fd: RawFd) -> Option<&O> {
        self.by_fd.get(usize::try_from(fd).ok()?)?.owner.as_ref()
    }

    /// The owner of `fd` now, to be changed in place.
    pub fn get_mut(&mut self, fd: RawFd) -> Option<&mut O> {
        self.by_fd.get_mut(usize::try_from(fd).ok()?)?.owner.as_mut()
    }

    /// The owner that `token` was given to, if it is still the owner.
    #[inline]
    pub fn resolve(&self, token: Token) -> Option<&O> {
        let registration = self.by_fd.get(usize::try_from(token.fd).ok()?)?;
        (registration.generation == token.generation)
            .then_some(registration.owner.as_ref())
            .flatten()
    }

    /// The token of `fd`'s present registration.
    pub fn token(&self, fd: RawFd) -> Option<Token> {
        let registration = self.by_fd.get(usize::try_from(fd).ok()?)?;
        registration.owner.as_ref()?;
        Some(Token { fd, generation: registration.generation })
    }

    /// Makes `owner` the owner of `fd` under a new generation, and returns its
    /// token and the former owner. `None` for a negative number.
    pub fn insert(&mut self, fd: RawFd, owner: O) -> Option<(Token, Option<O>)> {
        let index = usize::try_from(fd).ok()?;
        if index >= self.by_fd.len() {
            self.by_fd.resize_with(index + 1, || Registration { generation: 0, owner: None });
        }
        let registration = &mut self.by_fd[index];
        registration.generation = registration.generation.wrapping_add(1);
        let former = registration.owner.replace(owner);
        self.owned += usize::from(former.is_none());
        Some((Token { fd, generation: registration.generation }, former))
    }

    /// Takes `fd` from its owner.
    pub fn remove(&mut self, fd: RawFd) -> Option<O> {
        let owner = self.by_fd.get_mut(usize::try_from(fd).ok()?)?.owner.take()?;
        self.owned -= 1;
        Some(owner)
    }

    /// Whether the table reaches as far as `fd`. Before it grows, somebody should
    /// make sure that there is such a descriptor: the number is the user's.
    pub fn reaches(&self, fd: RawFd) -> bool {
        usize::try_from(fd).is_ok_and(|fd| fd < self.by_fd.len())
    }

    /// How many descriptors are owned.
    pub fn len(&self) -> usize {
        self.owned
    }

    /// Whether no descriptor is owned.
    pub fn is_empty(&self) -> bool {
        self.owned == 0
    }

    /// The owners, by descriptor.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &O)> {
        self.by_fd.iter().enumerate().filter_map(|(fd, reg)| Some((fd, reg.owner.as_ref()?)))
    }

    /// Takes every owner out, to be dropped after the caller's borrow has ended.
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::take(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_of_a_former_tenant_resolves_to_nobody() {
        let mut registry = Registry::default();
        let (old, _) = registry.insert(5, "old").unwrap();
        assert_eq!(registry.resolve(old), Some(&"old"));
        assert_eq!(registry.remove(5), Some("old"));
        assert_eq!(registry.resolve(old), None);
        let (new, former) = registry.insert(5, "new").unwrap();
        assert_eq!(former, None);
        assert_eq!(registry.resolve(old), None);
        assert_eq!(registry.resolve(new), Some(&"new"));
    }

    #[test]
    fn a_second_owner_replaces_the_first() {
        let mut registry = Registry::default();
        registry.insert(3, "a").unwrap();
        let (_, former) = registry.insert(3, "b").unwrap();
        assert_eq!(former, Some("a"));
        assert_eq!(registry.len(), 1);
    }

    #[test]
    fn impossible_descriptors_have_no_owner() {
        let mut registry = Registry::default();
        assert!(registry.insert(-1, "x").is_none());
        assert_eq!(registry.get(-1), None);
        assert_eq!(registry.get(99), None);
        assert_eq!(registry.remove(99), None);
    }
}
