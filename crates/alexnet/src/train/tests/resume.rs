//! Runs that are stopped or killed, and resumed.

use super::*;

#[test]
fn stopping_at_any_step_and_resuming_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    plain(&whole, options()).unwrap();
    let with_adamw = folder.path().join("whole-adamw");
    by_recipe(&with_adamw, adamw()).unwrap();
    let with_loss = folder.path().join("whole-loss");
    by_recipe(&with_loss, weighted()).unwrap();
    let with_augment = folder.path().join("whole-augment");
    by_recipe(&with_augment, augmented()).unwrap();
    // Within an epoch, at an epoch's last step (27), after its first (28), twice, and with another optimizer.
    let sgd = [vec![1], vec![13], vec![27], vec![28], vec![5, 20]].map(|stops| (recipe(), &whole, stops));
    let others =
        [(adamw(), &with_adamw, vec![5, 20]), (weighted(), &with_loss, vec![3, 22]), (augmented(), &with_augment, vec![7, 16])];
    for (number, (recipe, whole, stops)) in sgd.into_iter().chain(others).enumerate() {
        let at = folder.path().join(format!("stopped-{number}-{stops:?}"));
        for stop_after in stops {
            let mut step = if at.join("state.safetensors").exists() { 5 } else { 0 };
            let ask = Ask {
                recipe: recipe.clone(),
                source: squares(90, &[]),
                options: options(),
                breaks_at: None,
                watch: &mut |event, stop| {
                    step += u64::from(matches!(event, Event::Step { .. }));
                    stop.store(step >= stop_after, Ordering::Relaxed);
                },
            };
            assert_eq!(train(&at, ask).unwrap(), StopReason::Interrupted);
        }
        assert_eq!(by_recipe(&at, recipe).unwrap(), StopReason::Done);
        assert_same_run(whole, &at);
    }
    // Resuming a completed run changes nothing.
    assert_eq!(plain(&whole, options()).unwrap(), StopReason::Done);
}

#[test]
fn a_run_killed_between_any_two_saves_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    plain(&whole, options()).unwrap();
    // To the files, a panic in the middle is equivalent to a kill; one of the states is older than the best model and
    // metrics.
    for (save_every, killed_at) in [(Duration::ZERO, 12), (Duration::from_secs(3600), 22), (Duration::ZERO, 1)] {
        let at = folder.path().join(format!("killed-{killed_at}"));
        let mut step = 0;
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let watch = &mut |event: &Event<'_>, _: &AtomicBool| {
                step += u64::from(matches!(event, Event::Step { .. }));
                assert!(step < killed_at, "the run must be killed at this step");
            };
            let options = TrainerOptions { save_every, ..options() };
            let _ = train(&at, Ask { recipe: recipe(), source: squares(90, &[]), options, breaks_at: None, watch });
        }));
        assert!(killed.is_err());
        assert_eq!(plain(&at, options()).unwrap(), StopReason::Done);
        assert_same_run(&whole, &at);
    }
}

#[test]
fn max_steps_ends_a_run_that_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (straight, twice) = (folder.path().join("straight"), folder.path().join("twice"));
    let until = |steps| TrainerOptions { max_steps: Some(steps), ..options() };
    assert_eq!(plain(&straight, until(15)).unwrap(), StopReason::MaxSteps);
    assert_eq!(plain(&twice, until(4)).unwrap(), StopReason::MaxSteps);
    formats::read(twice.join("best.safetensors")).unwrap();
    assert_eq!(plain(&twice, until(15)).unwrap(), StopReason::MaxSteps);
    assert_same_run(&straight, &twice);
    assert_eq!(plain(&straight, options()).unwrap(), StopReason::Done);
    assert_eq!(plain(&twice, until(1_000)).unwrap(), StopReason::Done);
    assert_same_run(&straight, &twice);
}

#[test]
fn other_images_or_recipes_do_not_resume_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    plain(&at, TrainerOptions { max_steps: Some(3), ..options() }).unwrap();
    let other = |recipe, source| {
        train(&at, Ask { recipe, source, options: options(), breaks_at: None, watch: &mut |_, _| {} }).unwrap_err().to_string()
    };
    let message = other(Recipe { lr: 0.04, ..recipe() }, squares(90, &[]));
    assert!(message.contains("another recipe"), "{message}");
    let message = other(recipe(), squares(60, &[]));
    assert!(message.contains("72 training images") && message.contains("48"), "{message}");
    // The same number of images with one renamed, and classes with other names.
    let renamed = |source: Arc<dyn Dataset>, from: &str, to: &str| -> Arc<dyn Dataset> {
        let rename = |text: &str| text.replace(from, to);
        let classes = source.classes().iter().map(|class| rename(class)).collect();
        let names = (0..source.len()).map(|i| rename(source.name(i))).collect();
        Arc::new(Squares { classes, names, broken: Vec::new() })
    };
    let message = other(recipe(), renamed(squares(90, &[]), "red/5.png", "red/5x.png"));
    assert!(message.contains("images: those of red have different names"), "{message}");
    let message = other(recipe(), renamed(squares(90, &[]), "green", "grey"));
    assert!(message.contains("green is missing, grey is new"), "{message}");
    // A state of an earlier version has no hashes.
    let path = at.join("state.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let (start, end) = (find(&bytes, b"\\\"images\\\":{"), find(&bytes, b"\\\"epoch\\\":"));
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let spaces = vec![b' '; end - start];
    std::fs::write(&path, [&bytes[..start], &bytes[end..header], &spaces, &bytes[header..]].concat()).unwrap();
    plain(&at, options()).unwrap();
}

/// Offset of `part` in `bytes`.
fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).unwrap()
}

#[test]
fn the_paper_s_mean_image_and_colour_noise_survive_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let paper = || Recipe { epochs: 3, batch: 8, ..recipe_named("paper").unwrap() };
    let run = |at: &Path, max_steps| {
        let options = TrainerOptions { max_steps, ..options() };
        train(at, Ask { recipe: paper(), source: squares(90, &[]), options, breaks_at: None, watch: &mut |_, _| {} }).unwrap()
    };
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    run(&whole, None);
    run(&stopped, Some(11));
    run(&stopped, None);
    assert_same_run(&whole, &stopped);
    let model = formats::read(whole.join("best.safetensors")).unwrap();
    let crate::image::Mean::Image { values, .. } = model.preprocess.mean else { panic!("no mean image") };
    assert!(values.iter().any(|&v| v != 0.0));
}
