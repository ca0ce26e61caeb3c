//! Devices by name: `cuda:0`, `vulkan`, `flex`.

use alexnet::{Error, Result};
use burn::tensor::{Device, DeviceType};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A device kind, and whether this build supports it.
#[derive(Clone)]
pub struct Kind {
    /// Name, as in `--device` and of the cargo feature.
    pub name: &'static str,
    /// Supported hardware.
    pub about: &'static str,
    /// Burn's device type; `None` if this build lacks it.
    of_burn: Option<DeviceType>,
}

macro_rules! of_burn {
    ($feature:literal, $kind:ident) => {{
        #[cfg(feature = $feature)]
        let kind = Some(DeviceType::$kind);
        #[cfg(not(feature = $feature))]
        let kind = None;
        kind
    }};
}

/// All device kinds.
pub fn kinds() -> [Kind; 6] {
    let kind = |name, about, of_burn| Kind { name, about, of_burn };
    [
        kind("cuda", "NVIDIA", of_burn!("cuda", Cuda)),
        kind("rocm", "AMD", of_burn!("rocm", Rocm)),
        kind("vulkan", "any with a Vulkan driver", of_burn!("vulkan", Vulkan)),
        kind("metal", "Apple", of_burn!("metal", Metal)),
        kind("webgpu", "any with Vulkan, Metal or DirectX 12", of_burn!("webgpu", Wgpu)),
        kind("flex", "Burn's own processor backend, for tests", of_burn!("flex", Flex)),
    ]
}

impl Kind {
    /// Whether this build supports it.
    pub fn is_built(&self) -> bool {
        self.of_burn.is_some()
    }

    /// Lists its devices on this machine, in order of their index.
    ///
    /// # Errors
    /// The reason why none is available.
    pub fn devices(&self) -> Result<Vec<Device>> {
        let Some(kind) = self.of_burn.clone() else {
            return Err(Error::Invalid(format!(
                "this program was built without {0}: cargo build --release --features gpu,{0}",
                self.name
            )));
        };
        // A missing driver panics in Burn 0.22; hide the panic so that it does not look like a bug in this program.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let found = catch_unwind(AssertUnwindSafe(|| Device::enumerate(kind).into_vec()));
        std::panic::set_hook(hook);
        match found {
            Ok(devices) if devices.is_empty() => Err(Error::Invalid(self.lacking(""))),
            Ok(devices) => Ok(devices),
            Err(panic) => {
                let words = panic.downcast_ref::<String>().cloned();
                let words = words.or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string())).unwrap_or_default();
                Err(Error::Invalid(self.lacking(words.lines().next().unwrap_or(""))))
            }
        }
    }

    fn lacking(&self, why: &str) -> String {
        let advice = match self.name {
            "cuda" => "requires NVIDIA's driver and CUDA 12 (check the driver with nvidia-smi)",
            "rocm" => "requires AMD's driver and ROCm (check with rocminfo)",
            "vulkan" => "requires a Vulkan driver (list installed drivers with vulkaninfo --summary)",
            _ => "requires a driver",
        };
        let colon = if why.is_empty() { "" } else { ": " };
        format!("no {} device found{colon}{why}; {advice}", self.name)
    }
}

/// Parses a device list: a name such as `flex` or `cuda:1`, or two separated by a comma.
///
/// # Errors
/// An unknown name, or a device that is not available, with the reason.
pub fn parse(text: &str) -> Result<Vec<Device>> {
    text.split(',').map(|name| one(name.trim())).collect()
}

fn one(text: &str) -> Result<Device> {
    let (name, number) = text.split_once(':').unwrap_or((text, "0"));
    let unknown = || {
        if name == "cpu" {
            return Error::Invalid(format!("{text}: the CPU engine is a single device and cannot be combined; use --device cpu"));
        }
        let names: Vec<&str> = kinds().iter().map(|kind| kind.name).collect();
        Error::Invalid(format!("{text}: no such device; use cpu, or one of {} with a number (cuda:0)", names.join(", ")))
    };
    let number: usize = number.parse().map_err(|_| unknown())?;
    let kind = kinds().into_iter().find(|kind| kind.name == name).ok_or_else(unknown)?;
    let devices = kind.devices()?;
    // Burn has one CPU device; using it for both towers is for tests.
    let at = if name == "flex" { 0 } else { number };
    devices.get(at).cloned().ok_or_else(|| {
        Error::Invalid(format!("{text}: found {} {name} devices, the last is {name}:{}", devices.len(), devices.len() - 1))
    })
}

/// Warning about a device with known problems.
pub fn doubt(device: &Device) -> Option<String> {
    let name = describe(device);
    // It aborts the process, so no error can be reported later. Seen with Mesa 22.3.
    name.contains("llvmpipe")
        .then(|| format!("{name}: Mesa's software device is known to crash on Burn's kernels; SwiftShader does not"))
}

/// Name that a device reports.
pub fn describe(device: &Device) -> String {
    #[cfg(any(feature = "cuda", feature = "rocm", feature = "vulkan", feature = "metal", feature = "webgpu"))]
    if let Some(identity) = device.identity() {
        return identity.name;
    }
    format!("{device:?}")
}
