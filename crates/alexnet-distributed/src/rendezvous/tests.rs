use super::*;

fn meeting(folder: &Path, rank: usize, size: usize, limit: u64) -> Rendezvous {
    Rendezvous { file: folder.join("meet"), rank, size, limit: Duration::from_millis(limit) }
}

/// Rank 0's bytes.
fn bytes(first: u8) -> [u8; BYTES] {
    std::array::from_fn(|i| first.wrapping_add(i as u8))
}

/// Runs ranks as threads that join `late[rank]` milliseconds late, and returns their results.
fn join_all(folder: &Path, late: &[u64], limit: u64, first: u8) -> Vec<Result<[u8; BYTES], String>> {
    std::thread::scope(|scope| {
        let come = |(rank, &late): (usize, &u64)| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(late));
                let own = meeting(folder, rank, 4, limit);
                own.hand_over(|| Ok(bytes(first))).map_err(|error| error.to_string())
            })
        };
        let threads: Vec<_> = late.iter().enumerate().map(come).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn left(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries.map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn all_get_rank_0s_bytes_in_any_order_and_no_file_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    for (first, late) in [(1, [0, 0, 0, 0]), (2, [200, 0, 0, 0]), (3, [0, 300, 0, 100])] {
        // Reuses the same file: one job after the other.
        for result in join_all(folder.path(), &late, 20_000, first) {
            assert_eq!(result, Ok(bytes(first)));
        }
        assert_eq!(left(folder.path()), [""; 0]);
    }
    // A job of one rank.
    let alone = meeting(folder.path(), 0, 1, 20_000).hand_over(|| Ok(bytes(9)));
    assert_eq!(alone.expect("nobody to wait for"), bytes(9));
}

#[test]
fn files_of_an_earlier_job_are_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("meet");
    // Files of a killed job: its roster with the bytes, and its tickets, two of which have answered.
    let old =
        Roster { host: "old-0".into(), guests: ["old-1", "old-2", "old-3"].map(String::from).to_vec(), bytes: Some(bytes(77)) };
    std::fs::write(&file, old.text()).expect("written");
    for rank in 1..4 {
        let answers = (rank != 2).then(|| "old-0".to_string());
        let guest = RankFile { size: 4, ticket: format!("old-{rank}"), answers };
        std::fs::write(beside(&file, &rank.to_string()), guest.text(rank)).expect("written");
    }
    for result in join_all(folder.path(), &[0, 300, 100, 0], 20_000, 5) {
        assert_eq!(result, Ok(bytes(5)));
    }
    // Foreign files, and a ticket of a job of another size.
    std::fs::write(&file, [0xff, 0, b'\n']).expect("written");
    std::fs::write(beside(&file, "1"), "").expect("written");
    let other = RankFile { size: 3, ticket: "old".into(), answers: None };
    std::fs::write(beside(&file, "3"), other.text(3)).expect("written");
    for result in join_all(folder.path(), &[100, 0, 0, 200], 20_000, 6) {
        assert_eq!(result, Ok(bytes(6)));
    }
    assert_eq!(left(folder.path()), [""; 0]);
}

#[test]
fn missing_ranks_are_named_after_the_timeout() {
    let folder = tempfile::tempdir().expect("a folder");
    let began = Instant::now();
    // Ranks 2 and 3 never join; rank 1 does.
    let result = join_all(folder.path(), &[0, 0], 300, 1).map_errors();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(
        result[0].contains("meet: rank 0 of 4: ranks 1, 2, 3 have not joined within 0.3 s; start all ranks with"),
        "{result:?}"
    );
    assert!(
        result[1].contains("rank 1 of 4: rank 0, or another rank that it waits for, has not joined within 0.3 s"),
        "{result:?}"
    );
    assert_eq!(left(folder.path()), [""; 0]);
    // Rank 0 never joins.
    let alone = meeting(folder.path(), 2, 4, 100).hand_over(|| panic!("only rank 0 provides bytes"));
    assert!(alone.expect_err("nobody").to_string().contains("rank 2 of 4: rank 0"));
    // An invalid rank, and a folder that does not exist.
    let fifth = meeting(folder.path(), 4, 4, 100).hand_over(|| Ok(bytes(0))).expect_err("no fifth").to_string();
    assert!(fifth.contains("rank 4 of 4: ranks count from 0"), "{fifth}");
    let nowhere = meeting(&folder.path().join("not there"), 0, 2, 100).hand_over(|| Ok(bytes(0)));
    assert!(nowhere.expect_err("no folder").to_string().contains("not there"));
    // Rank 0 fails to create the bytes: it reports the error and leaves no file.
    let none = meeting(folder.path(), 0, 1, 100).hand_over(|| Err(Error::Invalid("no NCCL".into())));
    assert_eq!((none.expect_err("no bytes").to_string().as_str(), left(folder.path()).len()), ("no NCCL", 0));
}

/// The errors of all ranks.
trait MapErrors {
    fn map_errors(self) -> Vec<String>;
}

impl MapErrors for Vec<Result<[u8; BYTES], String>> {
    fn map_errors(self) -> Vec<String> {
        self.into_iter().map(|result| result.expect_err("no meeting")).collect()
    }
}
