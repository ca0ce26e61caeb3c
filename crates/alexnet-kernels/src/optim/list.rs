//! The list of all optimizers.

use serde::{Deserialize, Serialize};

use super::{Formula, Rates, Settings};

/// Work that needs an optimizer's formula as a type, so that its inner loops are compiled for it.
pub trait Visitor {
    /// What the work gives.
    type Output;

    /// The work, with the formula of one step.
    fn visit<const SLOTS: usize, F: Formula<SLOTS>>(self, formula: F) -> Self::Output;
}

// An enum, so that it can be compared, copied and stored as a row of settings. A macro makes it, because the variants and the
// matches over them cannot be drawn from one list otherwise.
macro_rules! optimizers {
    ($($module:ident::$variant:ident,)*) => {
        /// An optimizer with its settings, stored as a row: `kind = "sgd"`, then the settings. Its name is that of its module.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "lowercase")]
        pub enum Optimizer {
            $(
                #[doc = concat!("The optimizer of the module [`", stringify!($module), "`](super::", stringify!($module), ").")]
                $variant(super::$module::$variant),
            )*
        }

        impl Optimizer {
            /// The names of all optimizers.
            pub const NAMES: &[&str] = &[$(stringify!($module)),*];

            /// The optimizer of a name, with its usual settings.
            pub fn named(name: &str) -> Option<Optimizer> {
                match name {
                    $(stringify!($module) => Some(Optimizer::$variant(super::$module::$variant::default())),)*
                    _ => None,
                }
            }

            /// The optimizer's name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Optimizer::$variant(_) => stringify!($module),)*
                }
            }

            /// The names of the values that the optimizer keeps for each value of a parameter. They are zeros before the first step.
            pub fn slots(&self) -> &'static [&'static str] {
                match self {
                    $(Optimizer::$variant(_) => &<super::$module::$variant as Settings<_>>::SLOT_NAMES,)*
                }
            }

            /// Divisor of a learning rate for SGD, at which the optimizer moves parameters about as fast.
            pub fn lr_divisor(&self) -> f64 {
                match self {
                    $(Optimizer::$variant(_) => <super::$module::$variant as Settings<_>>::LR_DIVISOR,)*
                }
            }

            /// The trust coefficient of LARS, for an optimizer that scales each layer's rate by the norms of its weights and gradient.
            pub fn lars_trust(&self) -> Option<f32> {
                match self {
                    $(Optimizer::$variant(settings) => settings.lars_trust(),)*
                }
            }

            /// Checks the settings.
            ///
            /// # Errors
            /// A line that names the setting.
            pub fn check(&self) -> Result<(), String> {
                match self {
                    $(Optimizer::$variant(settings) => settings.check(),)*
                }
            }

            fn visit<V: Visitor>(&self, rates: Rates, number: u64, visitor: V) -> V::Output {
                match self {
                    $(Optimizer::$variant(settings) => visitor.visit(settings.step(rates, number)),)*
                }
            }
        }

        $(impl From<super::$module::$variant> for Optimizer {
            fn from(settings: super::$module::$variant) -> Self {
                Optimizer::$variant(settings)
            }
        })*
    };
}

optimizers! {
    sgd::Sgd,
    adamw::AdamW,
}

/// One step of one parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// What moves it.
    pub optimizer: Optimizer,
    /// Learning rate and weight decay.
    pub rates: Rates,
    /// The step's number in the run, counted from 1.
    pub number: u64,
}

impl Step {
    /// Does `visitor`'s work with the step's formula.
    pub fn visit<V: Visitor>(&self, visitor: V) -> V::Output {
        self.optimizer.visit(self.rates, self.number, visitor)
    }
}

/// The values of a formula's slots.
///
/// # Panics
/// When there is another number of them.
pub fn slots<const SLOTS: usize, T>(values: Vec<T>) -> [T; SLOTS] {
    let found = values.len();
    values.try_into().unwrap_or_else(|_| panic!("{found} slots of state, but the optimizer has {SLOTS}"))
}
