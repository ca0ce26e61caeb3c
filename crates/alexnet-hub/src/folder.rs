//! The user's cache folder, by the customs of the operating system.

use alexnet_files::{Error, Result};
use std::ffi::OsString;
use std::path::PathBuf;

/// Environment variable that names the cache folder.
pub(crate) const CACHE: &str = "ALEXNET_CACHE";

/// The cache folder: `ALEXNET_CACHE`, or `XDG_CACHE_HOME/alexnet`, or the system's place for caches: `~/.cache/alexnet`,
/// `~/Library/Caches/alexnet` on macOS, `%LOCALAPPDATA%\alexnet\cache` on Windows. It need not exist.
///
/// # Errors
/// The user has no home folder, and no variable names another.
pub fn cache_folder() -> Result<PathBuf> {
    resolve(&|name| std::env::var_os(name), std::env::home_dir())
        .ok_or_else(|| Error::Invalid(format!("there is no home folder for downloaded files; set {CACHE} to a folder")))
}

fn resolve(variable: &dyn Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(folder) = set(CACHE) {
        return Some(folder);
    }
    // The specification of XDG_CACHE_HOME says to ignore relative paths.
    if let Some(folder) = set("XDG_CACHE_HOME").filter(|folder| folder.is_absolute()) {
        return Some(folder.join("alexnet"));
    }
    if cfg!(windows)
        && let Some(folder) = set("LOCALAPPDATA")
    {
        return Some(folder.join("alexnet").join("cache"));
    }
    let home = home.filter(|home| !home.as_os_str().is_empty())?;
    Some(if cfg!(target_os = "macos") { home.join("Library/Caches/alexnet") } else { home.join(".cache/alexnet") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(windows))]
    #[test]
    fn variables_precede_the_home_folder() {
        let with = |variables: &[(&str, &str)], home: Option<&str>| {
            let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            resolve(&variable, home.map(PathBuf::from))
        };
        let all = [("ALEXNET_CACHE", "weights"), ("XDG_CACHE_HOME", "/cache")];
        assert_eq!(with(&all, Some("/home/ada")), Some("weights".into()));
        assert_eq!(with(&all[1..], Some("/home/ada")), Some("/cache/alexnet".into()));
        let own = if cfg!(target_os = "macos") { "/home/ada/Library/Caches/alexnet" } else { "/home/ada/.cache/alexnet" };
        for ignored in [&[][..], &[("XDG_CACHE_HOME", "relative")], &[("XDG_CACHE_HOME", ""), ("ALEXNET_CACHE", "")]] {
            assert_eq!(with(ignored, Some("/home/ada")), Some(own.into()));
        }
        assert_eq!((with(&[], None), with(&[], Some(""))), (None, None));
    }
}
