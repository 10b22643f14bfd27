//! The module's memory, as a host call sees it.

use wasmi::{AsContext, Caller, Error, Extern, Func, Memory, Val};

use crate::envoy::Envoy;
use crate::vm::ALLOCATIONS;

/// The module that calls, with what it passed.
pub(crate) struct Guest<'a, 'c> {
    pub(crate) caller: &'a mut Caller<'c, Envoy>,
    pub(crate) arguments: &'a [Val],
}

impl Guest<'_, '_> {
    pub(crate) fn envoy(&mut self) -> &mut Envoy {
        self.caller.data_mut()
    }

    /// Argument `n` as a number or an address.
    pub(crate) fn word(&self, n: usize) -> Result<u32, Error> {
        let word = self.arguments.get(n).and_then(Val::i32);
        word.map(i32::cast_unsigned)
            .ok_or_else(|| Error::new(format!("argument {n} is no 32-bit number")))
    }

    /// The bytes at argument `n`, whose number is argument `n + 1`.
    pub(crate) fn bytes(&self, n: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; self.word(n + 1)? as usize];
        let address = self.word(n)? as usize;
        self.memory()?
            .read(self.caller.as_context(), address, &mut bytes)?;
        Ok(bytes)
    }

    /// The text at argument `n`.
    pub(crate) fn text(&self, n: usize) -> Result<String, Error> {
        String::from_utf8(self.bytes(n)?)
            .map_err(|_| Error::new(format!("argument {n} is no UTF-8")))
    }

    /// Writes to where argument `n` points.
    pub(crate) fn store(&mut self, n: usize, bytes: &[u8]) -> Result<(), Error> {
        let address = self.word(n)?;
        self.write(address, bytes)
    }

    /// Hands a value over: in memory that the module allocates for it, with its address written
    /// to argument `n` and its size to `n + 1`.
    pub(crate) fn give(&mut self, n: usize, value: &[u8]) -> Result<(), Error> {
        let size = u32::try_from(value.len()).map_err(|_| Error::new("a value over 4 GiB"))?;
        let address = match size {
            0 => 0,
            _ => self.allocate(size)?,
        };
        self.write(address, value)?;
        self.store(n, &address.to_le_bytes())?;
        self.store(n + 1, &size.to_le_bytes())
    }

    fn allocate(&mut self, size: u32) -> Result<u32, Error> {
        let before = self.allocations()?;
        let allocator = ["proxy_on_memory_allocate", "malloc"]
            .iter()
            .find_map(|name| self.function(name))
            .ok_or_else(|| Error::new("the module exports no allocator for the host"))?;
        let address = allocator
            .typed::<u32, u32>(self.caller.as_context())?
            .call(&mut *self.caller, size)?;
        let made = self.allocations()? - before;
        self.envoy().allocated_for_host += made;
        Ok(address)
    }

    /// How many allocations the module has made, if it counts them.
    fn allocations(&mut self) -> Result<u64, Error> {
        match self.function(ALLOCATIONS) {
            Some(count) => count
                .typed::<(), u64>(self.caller.as_context())?
                .call(&mut *self.caller, ()),
            None => Ok(0),
        }
    }

    fn function(&self, name: &str) -> Option<Func> {
        self.caller.get_export(name).and_then(Extern::into_func)
    }

    fn memory(&self) -> Result<Memory, Error> {
        self.caller
            .get_export("memory")
            .and_then(Extern::into_memory)
            .ok_or_else(|| Error::new("the module exports no memory"))
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), Error> {
        let memory = self.memory()?;
        memory.write(&mut *self.caller, address as usize, bytes)?;
        Ok(())
    }
}
