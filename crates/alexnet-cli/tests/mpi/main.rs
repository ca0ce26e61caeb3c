//! End-to-end tests under `mpirun` with the feature `mpi`; without it, that multi-process jobs are rejected.

#[cfg(feature = "mpi")]
mod job {
    use std::path::Path;
    use std::process::{Child, Command, Output, Stdio};
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    /// Serializes the jobs: several ranks are slow enough by themselves.
    static TURN: Mutex<()> = Mutex::new(());

    /// 20 million parameters; images of the built-in set.
    const SMALL: [&str; 8] = ["--net", "original-145", "--image-size", "67", "--batch", "16", "--threads", "1"];

    fn mpirun(ranks: usize, arguments: &[&str]) -> Child {
        let mut command = Command::new("mpirun");
        command.args(["--allow-run-as-root", "--oversubscribe", "-n", &ranks.to_string(), env!("CARGO_BIN_EXE_alexnet")]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("mpirun (apt-get install openmpi-bin)")
    }

    fn ended(job: Child) -> (Output, String) {
        let output = job.wait_with_output().expect("an end");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, error)
    }

    fn done(ranks: usize, arguments: &[&str]) -> String {
        let (output, error) = ended(mpirun(ranks, arguments));
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn train(ranks: usize, run: &Path, more: &[&str]) -> serde_json::Value {
        let run = ["--out", run.to_str().expect("a plain path"), "--no-report", "--json"];
        let text = done(ranks, &[&["train"][..], &SMALL, &run, more].concat());
        serde_json::from_str(text.lines().last().expect("a last line")).expect("JSON")
    }

    fn assert_same(a: &Path, b: &Path) {
        for file in ["last.safetensors", "state.safetensors", "metrics.csv"] {
            let [a, b] = [a, b].map(|run| std::fs::read(run.join(file)).expect("a run's file"));
            assert!(a == b, "{file} differs");
        }
    }

    #[test]
    fn one_two_and_four_ranks_write_the_same_bytes_and_use_every_image_once() {
        let _turn = TURN.lock();
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let blocks = ["--deterministic=4", "--max-steps", "3"];
        for ranks in [1, 2, 4] {
            let end = train(ranks, &at(&ranks.to_string()), &blocks);
            assert_eq!((&end["ranks"], &end["steps"]), (&ranks.into(), &3.into()));
            assert_eq!(end["bytes_per_step"].as_f64().is_some_and(|bytes| bytes > 1e6), ranks > 1, "{end}");
        }
        assert_same(&at("1"), &at("2"));
        assert_same(&at("1"), &at("4"));
        // Started by three ranks, finished by two.
        train(3, &at("changed"), &["--deterministic=4", "--max-steps", "1"]);
        done(2, &["train", "--resume", at("changed").to_str().expect("a path"), "--max-steps", "3", "--threads", "1", "-q"]);
        assert_same(&at("1"), &at("changed"));

        let model = at("1").join("last.safetensors");
        let report = |ranks| -> serde_json::Value {
            let text = done(ranks, &["eval", "--model", model.to_str().expect("a path"), "--threads", "1", "--json"]);
            serde_json::from_str(&text).expect("one report, of rank 0")
        };
        let [one, three] = [1, 3].map(report);
        assert_eq!((&one["images"], &one["confusion"]), (&500.into(), &three["confusion"]));
        let apart = one["loss"].as_f64().zip(three["loss"].as_f64()).map(|(a, b)| (a - b).abs());
        assert!(apart.is_some_and(|apart| apart < 1e-5), "{one} {three}");
    }

    #[test]
    fn hybrid_ranks_and_towers_send_less_and_learn_the_same() {
        let _turn = TURN.lock();
        let folder = tempfile::tempdir().expect("a folder");
        let [data, hybrid, towers] = ["data", "hybrid", "towers"].map(|how| {
            let run = folder.path().join(how);
            // Towers and hybrid train without batch normalisation, so the data-parallel ranks must as well.
            let plain = ["--set", "batch_norm=false"];
            let end = train(2, &run, &[&["--max-steps", "3", "--parallel", how][..], &plain].concat());
            let model = alexnet::formats::read(run.join("last.safetensors")).expect("a model");
            (end["bytes_per_step"].as_f64().expect("a number"), model)
        });
        for (how, (sent, model)) in [("hybrid", hybrid), ("towers", towers)] {
            assert!(sent < data.0 / 5.0, "{how}: {sent} of {} bytes", data.0);
            for (name, values) in &data.1.tensors {
                let size = values.iter().fold(1e-3f32, |size, v| size.max(v.abs()));
                let both = values.iter().zip(model.tensors[name].iter());
                let apart = both.fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
                assert!(apart < 1e-3 * size, "{how}: {name}: {apart} of {size}");
            }
        }
        let (output, error) = ended(mpirun(3, &["train", "--net", "paper", "--parallel", "towers"]));
        assert!(!output.status.success() && error.contains("mpirun -n 2"), "{error}");
    }

    #[test]
    fn a_rank_that_is_killed_ends_the_job_with_a_line_on_every_other() {
        let _turn = TURN.lock();
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("run");
        let place = ["--out", run.to_str().expect("a plain path"), "--no-report", "--save-every", "0"];
        let epochs = ["--epochs", "12"];
        let job = mpirun(3, &[&["train"][..], &SMALL, &place, &epochs].concat());
        let begun = Instant::now();
        while !run.join("state.safetensors").exists() {
            assert!(begun.elapsed() < Duration::from_secs(120), "no state was ever saved");
            std::thread::sleep(Duration::from_millis(50));
        }
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &job.id().to_string()]).output().expect("ps");
        let victim = String::from_utf8(children.stdout).expect("numbers").lines().last().expect("a rank").trim().to_string();
        let killed = Instant::now();
        assert!(Command::new("kill").args(["-9", &victim]).status().expect("kill").success());
        let (output, error) = ended(job);
        assert!(!output.status.success() && killed.elapsed() < Duration::from_secs(15), "{:?}: {error}", killed.elapsed());
        assert_eq!(error.matches("terminated: another rank has died").count(), 2, "{error}");
        // The run resumes with another number of ranks, so the saved state is intact.
        let resume = ["train", "--resume", run.to_str().expect("a path"), "--threads", "1", "--json", "--no-report"];
        let mut job = mpirun(2, &[&resume[..], &["--max-steps", "1000000000"]].concat());
        let state = std::fs::read(run.join("state.safetensors")).expect("a state");
        let begun = Instant::now();
        // SIGUSR1 to mpirun requests a save and an exit.
        std::thread::sleep(Duration::from_secs(4));
        assert!(Command::new("kill").args(["-USR1", &job.id().to_string()]).status().expect("kill").success());
        while job.try_wait().expect("a state").is_none() {
            assert!(begun.elapsed() < Duration::from_secs(120), "the job does not end");
            std::thread::sleep(Duration::from_millis(50));
        }
        let (_, error) = ended(job);
        assert!(error.contains("checkpoint saved; resume with: alexnet train --resume"), "{error}");
        assert!(state != std::fs::read(run.join("state.safetensors")).expect("a state"), "nothing was saved");
    }

    #[test]
    fn the_failure_of_one_rank_ends_the_job() {
        let _turn = TURN.lock();
        let begun = Instant::now();
        let (output, error) = ended(mpirun(3, &["train", "--data", "/no/such/folder"]));
        assert!(!output.status.success() && begun.elapsed() < Duration::from_secs(20), "{error}");
        assert!(error.contains("of 3: /no/such/folder"), "{error}");
        let (output, error) = ended(mpirun(3, &["train", "--deterministic=2"]));
        assert!(!output.status.success() && error.contains("at most 2 ranks"), "{error}");
    }
}

#[cfg(not(feature = "mpi"))]
#[test]
fn without_mpi_a_multi_process_job_is_rejected() {
    let error = refused(&["train"], &[("OMPI_COMM_WORLD_SIZE", "4")]);
    assert!(error.contains("4 processes") && error.contains("--features mpi"), "{error}");
}

/// Runs options that must fail, and returns the one-line error.
fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_alexnet"));
    let output = command.args(arguments).envs(environment.iter().copied()).output().expect("the program starts");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && error.lines().count() == 1 && error.starts_with("error: "), "{error}");
    error
}

#[test]
fn missing_nccl_is_a_one_line_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("meet");
    let meet = ["train", "--communicator", "nccl", "--rendezvous", file.to_str().expect("a plain path")];
    let launched = [("RANK", "0"), ("WORLD_SIZE", "2")];
    let error = refused(&["train", "--rendezvous", "meet"], &launched);
    assert!(error.contains("add --communicator nccl"), "{error}");
    assert!(refused(&meet, &[]).contains("add --rank N"), "missing rank");
    assert!(refused(&["eval", "--model", "m", "--communicator", "nccl"], &launched).contains("2 processes; add --rendezvous"));
    // Machines with NCCL continue from here, and wait for each other.
    let error = refused(&[&meet[..], &["--rendezvous-limit", "0.1"]].concat(), &launched);
    let expected = if cfg!(feature = "nccl") {
        ["this machine has no lib", "rank 1 has not joined"]
    } else {
        ["build it with --features nccl"; 2]
    };
    assert!(expected.iter().any(|expected| error.contains(expected)), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left");
}
