//! Classification and features of a stream of images of any length in constant memory.
//!
//! A thread draws images from the input, a pool decodes them, and the caller's thread runs the engine on batches and passes on the
//! answers in the input's order. The queue between them holds about a batch, so memory does not grow with the input, and a
//! slow input is answered as it arrives: a batch waits for images that are being decoded, but not for images that have not
//! arrived.

use crate::classifier::{Classifier, Predictions};
use crate::ensemble::Ensemble;
use crate::image::crop::Crops;
use crate::image::{Image, Preprocess};
use crate::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// How long an incomplete batch waits for the next image of an input that has others at hand.
const GRACE: Duration = Duration::from_millis(2);

/// An image as the networks' inputs, or why it could not be read, once decoded.
type Pending<T> = Receiver<(T, Result<Vec<Vec<f32>>>)>;

/// Classifies each of `items`, decoded by `decode` on `threads` threads (0: one per core), and passes it with its answer to
/// `sink`, in the input's order. An image that cannot be decoded is passed on with its error.
///
/// After an error, a thread may keep waiting for the next item of a slow input; it ends with the input or the program.
///
/// # Errors
/// An error of the engine or of `sink`.
pub fn classify<T, E>(
    classifier: &mut Classifier,
    items: impl Iterator<Item = T> + Send + 'static,
    threads: usize,
    decode: impl Fn(&T) -> Result<Image> + Send + Sync + 'static,
    sink: &mut dyn FnMut(T, Result<Predictions>) -> Result<(), E>,
) -> Result<(), E>
where
    T: Send + 'static,
    E: From<Error>,
{
    let plan = Plan { views: vec![classifier.preprocess().clone()], crops: classifier.crops(), batch: classifier.batch() };
    let decode = move |item: &T, _: &Preprocess| decode(item);
    run(plan, items, threads, decode, &mut |tensors| classifier.classify(&tensors[0]), sink)
}

/// As [`classify`], with the activations of a layer for the centre crop of each image, `[channels, rows, columns]`, in place of
/// classes.
///
/// # Errors
/// An unknown layer, an error of the engine, or of `sink`.
pub fn activations<T, E>(
    classifier: &mut Classifier,
    layer: &str,
    items: impl Iterator<Item = T> + Send + 'static,
    threads: usize,
    decode: impl Fn(&T) -> Result<Image> + Send + Sync + 'static,
    sink: &mut dyn FnMut(T, Result<Vec<f32>>) -> Result<(), E>,
) -> Result<(), E>
where
    T: Send + 'static,
    E: From<Error>,
{
    let side = classifier.preprocess().crop;
    let plan = Plan { views: vec![classifier.preprocess().clone()], crops: Crops::Centre, batch: classifier.batch() };
    let decode = move |item: &T, _: &Preprocess| decode(item);
    let of_batch = &mut |tensors: &[Vec<f32>]| {
        let images = tensors[0].len() / (3 * side * side);
        if images == 0 {
            return Ok(Vec::new());
        }
        let all = classifier.engine().activation(&tensors[0], layer)?;
        Ok(all.chunks_exact(all.len() / images).map(<[f32]>::to_vec).collect())
    };
    run(plan, items, threads, decode, of_batch, sink)
}

/// [`classify`] with several models together. `decode` gets the preprocessing of the models that the image is for, of which there
/// may be several.
///
/// # Errors
/// An error of an engine or of `sink`.
pub fn classify_together<T, E>(
    ensemble: &mut Ensemble,
    items: impl Iterator<Item = T> + Send + 'static,
    threads: usize,
    decode: impl Fn(&T, &Preprocess) -> Result<Image> + Send + Sync + 'static,
    sink: &mut dyn FnMut(T, Result<Predictions>) -> Result<(), E>,
) -> Result<(), E>
where
    T: Send + 'static,
    E: From<Error>,
{
    let plan = Plan { views: ensemble.views().to_vec(), crops: ensemble.crops(), batch: ensemble.batch() };
    run(plan, items, threads, decode, &mut |tensors| ensemble.classify(tensors), sink)
}

/// Answers for a batch of images, from a tensor for each of the views.
type Answer<'a, A> = dyn FnMut(&[Vec<f32>]) -> Result<Vec<A>> + 'a;

/// What images become before they are classified.
struct Plan {
    views: Vec<Preprocess>,
    crops: Crops,
    batch: usize,
}

fn run<T, A, E>(
    Plan { views, crops, batch: most }: Plan,
    items: impl Iterator<Item = T> + Send + 'static,
    threads: usize,
    decode: impl Fn(&T, &Preprocess) -> Result<Image> + Send + Sync + 'static,
    answer: &mut Answer<'_, A>,
    sink: &mut dyn FnMut(T, Result<A>) -> Result<(), E>,
) -> Result<(), E>
where
    T: Send + 'static,
    E: From<Error>,
{
    let mut tensors = vec![Vec::new(); views.len()];
    let prepare = move |item: &T| {
        let decoded = catch_unwind(AssertUnwindSafe(|| Ensemble::inputs(&views, crops, &|view| decode(item, view))));
        decoded.unwrap_or_else(|_| Err("the decoder panicked; please report this image".into()))
    };
    let queue = decode_ahead(items, threads, most, prepare)?;
    let mut batch = Vec::with_capacity(most);
    while let Ok(first) = queue.recv() {
        tensors.iter_mut().for_each(Vec::clear);
        let mut next = Some(first);
        while let Some(pending) = next.take() {
            // A decoder always answers.
            let Ok((item, decoded)) = pending.recv() else { break };
            let join = |inputs: Vec<Vec<f32>>| tensors.iter_mut().zip(&inputs).for_each(|(all, one)| all.extend_from_slice(one));
            batch.push((item, decoded.map(join)));
            if batch.len() < most {
                next = queue.recv_timeout(GRACE).ok();
            }
        }
        let mut answers = answer(&tensors)?.into_iter();
        for (item, decoded) in batch.drain(..) {
            let missing = || Error::Invalid("the engine returned too few answers".into());
            sink(item, decoded.and_then(|()| answers.next().ok_or_else(missing)))?;
        }
    }
    Ok(())
}

/// Starts decoding; the queue has the results in the input's order.
fn decode_ahead<T: Send + 'static>(
    items: impl Iterator<Item = T> + Send + 'static,
    threads: usize,
    batch: usize,
    prepare: impl Fn(&T) -> Result<Vec<Vec<f32>>> + Send + Sync + 'static,
) -> Result<Receiver<Pending<T>>> {
    let failed = |error: &dyn std::fmt::Display| Error::Invalid(format!("cannot start the decoder's threads: {error}"));
    let name = |i| format!("decoder-{i}");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build().map_err(|e| failed(&e))?;
    let (ahead, queue): (SyncSender<Pending<T>>, _) = sync_channel(batch + pool.current_num_threads());
    let prepare = Arc::new(prepare);
    let feed = move || {
        for item in items {
            let (done, pending) = sync_channel(1);
            // The queue's bound holds back the input; an error means that the consumer has gone.
            if ahead.send(pending).is_err() {
                return;
            }
            let prepare = prepare.clone();
            pool.spawn_fifo(move || {
                let decoded = prepare(&item);
                let _ = done.send((item, decoded));
            });
        }
    };
    std::thread::Builder::new().name("images".into()).spawn(feed).map_err(|e| failed(&e))?;
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::tests::{image, model_file};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn answers_are_in_order_and_equal_those_of_single_images() {
        let folder = tempfile::tempdir().unwrap();
        let model = model_file(folder.path());
        let mut one = Classifier::builder().threads(1).open(&model).unwrap();
        let mut classifier = Classifier::builder().threads(1).batch(4).open(&model).unwrap();
        // Later images of a batch are decoded sooner; every fifth is broken, and one makes the decoder panic.
        let decode = |&i: &u8| {
            std::thread::sleep(Duration::from_millis(u64::from(3 - i % 4)));
            match i {
                7 => panic!("image 7"),
                _ if i % 5 == 0 => Err(Error::Invalid(format!("image {i}"))),
                _ => Ok(image(i)),
            }
        };
        let mut seen = Vec::new();
        classify::<u8, Error>(&mut classifier, 0..23, 3, decode, &mut |i, answer| {
            match answer {
                Ok(found) => assert_eq!(found.probabilities(), one.predict(&image(i))?.probabilities(), "{i}"),
                Err(why) if i == 7 => assert!(why.to_string().contains("panicked")),
                Err(why) => assert!(i % 5 == 0 && why.to_string() == format!("image {i}")),
            }
            seen.push(i);
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, (0..23).collect::<Vec<_>>());
    }

    #[test]
    fn activations_equal_those_of_single_images() {
        let folder = tempfile::tempdir().unwrap();
        let mut classifier = Classifier::builder().threads(1).batch(3).open(model_file(folder.path())).unwrap();
        let expected: Vec<Vec<f32>> = (0..7).map(|i| classifier.features(&image(i), "relu2").unwrap()).collect();
        let decode = |&i: &u8| if i == 4 { Err("broken".into()) } else { Ok(image(i)) };
        let mut seen = 0;
        activations::<u8, Error>(&mut classifier, "relu2", 0..7, 2, decode, &mut |i, found| {
            assert!(found.map_or(i == 4, |found| found == expected[usize::from(i)]), "{i}");
            seen += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, 7);
        let unknown = activations::<u8, Error>(&mut classifier, "conv9", 0..2, 1, decode, &mut |_, _| Ok(()));
        assert!(unknown.unwrap_err().to_string().contains("conv9"));
    }

    #[test]
    fn an_endless_input_is_read_only_as_far_as_it_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let mut classifier = Classifier::builder().threads(1).batch(2).open(model_file(folder.path())).unwrap();
        let drawn = Arc::new(AtomicUsize::new(0));
        let count = drawn.clone();
        let items = std::iter::repeat_with(move || count.fetch_add(1, Ordering::Relaxed));
        let mut answered = 0;
        let done = classify::<usize, Error>(&mut classifier, items, 2, |_| Err("broken".into()), &mut |_, _| {
            answered += 1;
            // One batch being answered, one and a thread's each in the queue, one in hand.
            assert!(drawn.load(Ordering::Relaxed) <= answered + 2 + 2 + 2 + 1);
            if answered == 50 { Err("enough".into()) } else { Ok(()) }
        });
        assert_eq!(done.unwrap_err().to_string(), "enough");
    }

    #[test]
    fn a_slow_input_is_answered_as_it_arrives() {
        let folder = tempfile::tempdir().unwrap();
        let mut classifier = Classifier::builder().threads(1).batch(8).open(model_file(folder.path())).unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        send.send(1).unwrap();
        let mut next = 2;
        classify::<u8, Error>(&mut classifier, receive.into_iter(), 1, |&i| Ok(image(i)), &mut |i, _| {
            // The next image is sent only after the answer for this one.
            if i < 3 {
                send.send(next).unwrap();
                next += 1;
                return Ok(());
            }
            Err("done".into())
        })
        .unwrap_err();
        assert_eq!(next, 4);
    }
}
