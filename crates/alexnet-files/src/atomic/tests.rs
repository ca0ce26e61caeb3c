use super::*;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_file_written_in_pieces_appears_when_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, b"old").unwrap();
    let mut dropped = AtomicFile::create(&path).unwrap();
    dropped.write_all(b"half").unwrap();
    dropped.flush().unwrap();
    drop(dropped);
    assert_eq!((std::fs::read(&path).unwrap(), names(folder.path())), (b"old".to_vec(), vec!["a.csv".to_string()]));
    let mut file = AtomicFile::create(&path).unwrap();
    file.write_all(b"one\n").unwrap();
    file.write_all(b"two\n").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    file.commit().unwrap();
    assert_eq!((std::fs::read(&path).unwrap(), names(folder.path())), (b"one\ntwo\n".to_vec(), vec!["a.csv".to_string()]));
}

/// Replacing a device by a file would take it from every other program.
#[cfg(unix)]
#[test]
fn a_device_is_written_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let null = Path::new("/dev/null");
    let mut file = AtomicFile::create(null).unwrap();
    file.write_all(b"x").unwrap();
    file.commit().unwrap();
    assert!(std::fs::metadata(null).unwrap().file_type().is_char_device());
}

#[cfg(unix)]
#[test]
fn a_pipe_is_written_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).unwrap()
    });
    write_atomic(&pipe, |out| out.write_all(b"through")).unwrap();
    assert_eq!(reader.join().unwrap(), b"through");
    assert!(TempFile::write(&pipe, Sync::Disk, |_| Ok(())).unwrap_err().to_string().contains("not a file"));
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(names(folder.path()), ["pipe"]);
}

#[test]
fn the_new_file_replaces_the_old_one_without_leftovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    write_atomic(&path, |w| w.write_all(b"old")).unwrap();
    write_atomic(&path, |w| w.write_all(b"new")).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(names(folder.path()), ["a.bin"]);
}

#[test]
fn a_partial_failure_keeps_the_old_file_without_leftovers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    write_atomic(&path, |w| w.write_all(b"old")).unwrap();
    let error = write_atomic(&path, |w| {
        w.write_all(&vec![1; 3 << 20])?;
        Err(io::ErrorKind::StorageFull.into())
    });
    let message = error.unwrap_err().to_string();
    assert!(message.contains("a.bin") && message.contains("no space left"), "{message}");
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["a.bin"]);
}

#[test]
fn a_full_disk_is_reported() {
    // Linux has a device that is always full; an error passed on by the writer must produce our message.
    let Ok(mut full) = OpenOptions::new().write(true).open("/dev/full") else { return };
    let folder = tempfile::tempdir().unwrap();
    let message = write_atomic(folder.path().join("x"), |_| full.write_all(&[0; 9])).unwrap_err().to_string();
    assert!(message.contains("no space left"), "{message}");
}

#[test]
fn a_missing_folder_and_a_folder_as_target_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let missing = write_atomic(folder.path().join("no/such/x"), |_| Ok(())).unwrap_err().to_string();
    assert!(missing.contains("the folder does not exist"), "{missing}");
    let in_the_way = write_atomic(folder.path(), |_| Ok(())).unwrap_err().to_string();
    assert!(in_the_way.contains("this is a folder"), "{in_the_way}");
    std::fs::write(folder.path().join("f"), "").unwrap();
    let file = write_atomic(folder.path().join("f/x"), |_| Ok(())).unwrap_err().to_string();
    assert!(file.contains("not a folder"), "{file}");
}

#[cfg(unix)]
#[test]
fn a_link_is_kept_and_its_target_is_written() {
    let (folder, far) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (link, second, target) = (folder.path().join("link"), folder.path().join("second"), far.path().join("a.bin"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    std::os::unix::fs::symlink("link", &second).unwrap();
    // Initially a dangling link.
    for content in [b"old", b"new"] {
        write_atomic(&second, |w| w.write_all(content)).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), content);
    }
    assert!(link.is_symlink() && second.is_symlink());
    assert_eq!((names(folder.path()).len(), names(far.path())), (2, vec!["a.bin".to_string()]));
}

#[test]
fn only_leftovers_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    for name in [".a.safetensors.123-4.part", "mine.part", ".hidden", ".download.part"] {
        std::fs::write(folder.path().join(name), "x").unwrap();
    }
    remove_leftovers(folder.path());
    assert_eq!(names(folder.path()), [".download.part", ".hidden", "mine.part"]);
}

#[test]
fn the_next_write_removes_leftovers_of_killed_processes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in [".a.bin.123-4.part", ".b.bin.123-4.part", ".a.bin.part", ".a.bin.x-1.part"] {
        std::fs::write(at(name), "half").unwrap();
    }
    // Still in use, by another process or this one.
    let alive = File::create(at(".a.bin.7-0.part")).unwrap();
    alive.lock().unwrap();
    let other = TempFile::write(&at("a.bin"), Sync::Later, |out| out.write_all(b"other")).unwrap();
    write_atomic(at("a.bin"), |w| w.write_all(b"new")).unwrap();
    let kept = [".a.bin.7-0.part", ".a.bin.part", ".a.bin.x-1.part", ".b.bin.123-4.part", "a.bin"];
    let hidden = other.part.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(names(folder.path()).into_iter().filter(|name| *name != hidden).collect::<Vec<_>>(), kept);
    other.take_place().unwrap();
    assert_eq!(std::fs::read(at("a.bin")).unwrap(), b"other");
    drop(alive);
    // A process that another test starts at this moment holds the lock, too, until it runs its program.
    let cleared = (0..500).any(|_| {
        write_atomic(at("a.bin"), |w| w.write_all(b"last")).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2));
        names(folder.path()) == kept[1..]
    });
    assert!(cleared, "{:?}", names(folder.path()));
}

#[test]
fn an_earlier_file_can_be_flushed_to_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.bin");
    write_atomic_with(&path, Sync::Later, |w| w.write_all(b"new")).unwrap();
    force_to_disk(&path).unwrap();
    let mut readonly = std::fs::metadata(&path).unwrap().permissions();
    readonly.set_readonly(true);
    std::fs::set_permissions(&path, readonly).unwrap();
    if cfg!(unix) {
        force_to_disk(&path).unwrap();
    }
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert!(force_to_disk(folder.path().join("gone")).unwrap_err().to_string().contains("gone"));
}
