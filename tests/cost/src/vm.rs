//! The interpreter with the module in it.

use std::sync::Arc;

use wasmi::{Engine, Error, ExternType, FuncType, Global, Instance, Linker, Module, Store, Val};

use crate::Result;
use crate::calls;
use crate::envoy::Envoy;
use crate::meter;

/// What a module that counts its allocations exports (`filter/src/allocations.rs`).
pub(crate) const ALLOCATIONS: &str = "entra_auth_allocations";

/// A module that counts its instructions, translated for the interpreter.
#[derive(Debug)]
pub struct Program {
    module: Module,
}

impl Program {
    /// Translates a module.
    ///
    /// # Errors
    /// When the bytes are no Wasm module.
    pub fn new(wasm: &[u8]) -> Result<Self> {
        let module = Module::new(&Engine::default(), meter::metered(wasm)?)
            .map_err(|error| format!("the module cannot be loaded: {error}"))?;
        Ok(Self { module })
    }
}

/// A module at work, and Envoy's side of it.
#[derive(Debug)]
pub struct Vm {
    store: Store<Envoy>,
    instance: Instance,
    counter: Global,
}

/// What a callback returned and used.
#[derive(Clone, Copy, Debug)]
pub struct Callback {
    /// The value, 0 where it has none.
    pub value: u32,
    /// The instructions.
    pub instructions: u64,
}

impl Vm {
    /// Loads the module into a VM of this Envoy.
    ///
    /// # Errors
    /// When it imports what is no function.
    pub fn new(program: &Program, envoy: Envoy) -> Result<Self> {
        let module = &program.module;
        let mut linker = Linker::new(module.engine());
        for import in module.imports() {
            let name: Arc<str> = import.name().into();
            let ExternType::Func(kind) = import.ty() else {
                return Err(format!("the module imports {name}, which is no function"));
            };
            provide(&mut linker, import.module(), &name, kind)?;
        }
        let mut store = Store::new(module.engine(), envoy);
        let instance = linker
            .instantiate_and_start(&mut store, module)
            .map_err(|error| format!("the module cannot be started: {error}"))?;
        let counter = instance
            .get_global(&store, meter::COUNTER)
            .ok_or("the module lost its counter")?;
        Ok(Self {
            store,
            instance,
            counter,
        })
    }

    /// Envoy's side.
    pub fn envoy(&mut self) -> &mut Envoy {
        self.store.data_mut()
    }

    /// Makes a callback, if the module has it: Envoy leaves out the others.
    ///
    /// # Errors
    /// When the callback traps.
    pub fn callback(&mut self, name: &str, arguments: &[u32]) -> Result<Option<Callback>> {
        let Some(function) = self.instance.get_func(&self.store, name) else {
            return Ok(None);
        };
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| Val::I32(argument.cast_signed()))
            .collect();
        let kind = function.ty(&self.store);
        let mut results: Vec<_> = kind
            .results()
            .iter()
            .map(|ty| Val::default_for_ty(*ty))
            .collect();
        let before = self.counted();
        function
            .call(&mut self.store, &arguments, &mut results)
            .map_err(|error| self.obituary(name, &error))?;
        let value = results.first().and_then(Val::i32).unwrap_or_default();
        Ok(Some(Callback {
            value: value.cast_unsigned(),
            instructions: self.counted() - before,
        }))
    }

    fn counted(&self) -> u64 {
        let count = self.counter.get(&self.store).i64().unwrap_or_default();
        count.cast_unsigned()
    }

    /// How many allocations the module has made so far, if it counts them.
    ///
    /// # Errors
    /// When the module's count is none.
    pub fn allocations(&mut self) -> Result<Option<u64>> {
        let Some(count) = self.instance.get_func(&self.store, ALLOCATIONS) else {
            return Ok(None);
        };
        count
            .typed::<(), u64>(&self.store)
            .and_then(|count| count.call(&mut self.store, ()))
            .map(Some)
            .map_err(|error| format!("{ALLOCATIONS}: {error}"))
    }

    fn obituary(&self, callback: &str, error: &Error) -> String {
        let log = self.store.data().log.join("\n");
        format!("{callback} failed: {error}\nThe module's log:\n{log}")
    }
}

/// Has the stand-in answer one of the module's imports.
fn provide(
    linker: &mut Linker<Envoy>,
    module: &str,
    name: &Arc<str>,
    kind: &FuncType,
) -> Result<()> {
    let own = Arc::clone(name);
    let call =
        move |mut caller: wasmi::Caller<'_, Envoy>, arguments: &[Val], results: &mut [Val]| {
            let status = calls::answer(&own, &mut caller, arguments)?;
            if let Some(result) = results.first_mut() {
                *result = Val::I32(status as i32);
            }
            Ok(())
        };
    linker
        .func_new(module, name, kind.clone(), call)
        .map(drop)
        .map_err(|error| format!("import {name}: {error}"))
}
