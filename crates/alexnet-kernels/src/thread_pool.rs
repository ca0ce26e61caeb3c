//! Thread pool executor whose threads spin briefly between calls.
//!
//! One image passes through AlexNet in six milliseconds and some thirty calls of [`Executor::run`]. A sleeping thread takes 30 to
//! 50 microseconds to wake, so a pool whose threads sleep between calls loses a tenth of that. Here the caller works too, and no
//! thread has to wake for a call to end: a late one finds it closed. Helpers spin for a tenth of a millisecond before they sleep,
//! so that an idle pool costs nothing.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::executor::Executor;

/// Time a helper spins before it sleeps: longer than the gap between two calls for one image, and no more than a few wake-ups.
const AWAKE: Duration = Duration::from_micros(100);
/// Polls between two checks of the clock, which cost some 20 nanoseconds each.
const LOOKS: usize = 100;

/// Thread pool with a fixed number of threads, including the caller of [`Executor::run`].
///
/// A call during another one, from within a task or from another thread, runs on its own thread alone.
pub struct ThreadPool {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
}

/// State shared by the threads of a pool.
struct Shared {
    /// Set during a call, whose thread alone may open and close it.
    taken: AtomicBool,
    /// 1 while there is work to join, plus 2 for each helper that has joined.
    state: AtomicUsize,
    /// The number of the latest call.
    call: AtomicUsize,
    /// Written by the caller while `state` is 0; read by helpers that have joined.
    work: UnsafeCell<Option<Work>>,
    /// Index of the next task.
    next: AtomicUsize,
    /// Panic payload of a helper's task.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// For each helper, whether it sleeps.
    asleep: Vec<AtomicBool>,
    /// Tells helpers to exit.
    end: AtomicBool,
}

/// One call of [`Executor::run`].
#[derive(Clone, Copy)]
struct Work {
    tasks: usize,
    /// Valid while helpers can join or have joined, see [`Open`].
    task: *const (dyn Fn(usize) + Sync),
}

// SAFETY: all fields but `work` are designed for sharing. `work` is written only by the one thread that holds `taken`, and only
// while `state` is 0, when no helper can join; it is read only by helpers that have joined, and the write happens before by the
// release of `state`. The closure behind its pointer is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer is used by helpers between joining and leaving only, while `Open` keeps its closure alive.
unsafe impl Send for Shared {}

impl ThreadPool {
    /// Starts a pool of `threads` threads, including the caller of `run`; the others exit with the pool.
    ///
    /// # Errors
    /// The system refuses to start more threads.
    pub fn new(threads: usize) -> std::io::Result<ThreadPool> {
        let helpers = threads.saturating_sub(1);
        let shared = Arc::new(Shared {
            taken: AtomicBool::new(false),
            state: AtomicUsize::new(0),
            call: AtomicUsize::new(0),
            work: UnsafeCell::new(None),
            next: AtomicUsize::new(0),
            panic: Mutex::new(None),
            asleep: (0..helpers).map(|_| AtomicBool::new(false)).collect(),
            end: AtomicBool::new(false),
        });
        let mut team = ThreadPool { shared, helpers: Vec::with_capacity(helpers) };
        for i in 0..helpers {
            let shared = team.shared.clone();
            team.helpers.push(std::thread::Builder::new().name(format!("alexnet-{i}")).spawn(move || shared.help(i))?);
        }
        Ok(team)
    }

    /// Number of threads, including the caller's.
    pub fn threads(&self) -> usize {
        self.helpers.len() + 1
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::SeqCst);
        self.helpers.iter().for_each(|helper| helper.thread().unpark());
        for helper in self.helpers.drain(..) {
            // A helper catches its tasks' panics.
            let _ = helper.join();
        }
    }
}

impl Executor for ThreadPool {
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let shared = &*self.shared;
        if tasks <= 1 || self.helpers.is_empty() || shared.taken.swap(true, Ordering::Acquire) {
            return (0..tasks).for_each(task);
        }
        let _turn = Turn(shared);
        shared.take_panic();
        // SAFETY: only the lifetime changes. The pointer is used by helpers that join, and `open` is dropped, however this
        // function ends, before the borrow does: from then on no helper is in or can join.
        let task = unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync), *const (dyn Fn(usize) + Sync + 'static)>(task) };
        let work = Work { tasks, task };
        // SAFETY: this thread holds `taken`, and `state` is 0: at first, and since the last `Open` was dropped.
        unsafe { *shared.work.get() = Some(work) };
        shared.next.store(0, Ordering::Relaxed);
        let open = Open::new(shared);
        let sleepers = shared.asleep.iter().zip(&self.helpers).take(tasks - 1);
        for (_, helper) in sleepers.filter(|(asleep, _)| asleep.swap(false, Ordering::SeqCst)) {
            helper.thread().unpark();
        }
        // SAFETY: `task` is this function's own argument.
        unsafe { shared.take_tasks(work) };
        drop(open);
        if let Some(panic) = shared.take_panic() {
            resume_unwind(panic);
        }
    }
}

/// Exclusive right to open a call, released on drop.
struct Turn<'a>(&'a Shared);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

/// An open call that helpers can join; on drop, also by a panic, it is closed and every helper has left.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.state.store(1, Ordering::Release);
        shared.call.fetch_add(1, Ordering::SeqCst);
        Open(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.state.fetch_and(!1, Ordering::AcqRel);
        let mut looks = 0;
        while self.0.state.load(Ordering::Acquire) != 0 {
            // A helper still at work needs its core, which it may share with this thread.
            looks += 1;
            if looks < 50 * LOOKS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

impl Shared {
    fn take_panic(&self) -> Option<Box<dyn Any + Send>> {
        self.panic.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Runs tasks until all are taken, in chunks that keep neighbours in memory mostly on one thread, and shrink so that all
    /// threads end together.
    ///
    /// # Safety
    /// `work.task` can be called.
    unsafe fn take_tasks(&self, work: Work) {
        let share = 4 * (self.asleep.len() + 1);
        loop {
            let mut some = 0;
            let take = |next: usize| {
                some = (work.tasks.saturating_sub(next) / share).max(1);
                (next < work.tasks).then_some(next + some)
            };
            let Ok(first) = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) else { return };
            for i in first..first + some {
                // SAFETY: the caller's promise.
                unsafe { (*work.task)(i) };
            }
        }
    }

    /// Main loop of a helper.
    fn help(&self, helper: usize) {
        let mut seen = 0;
        while self.wait(&mut seen, helper) {
            // Join, unless the call has been closed.
            let join = |state: usize| (state & 1 == 1).then_some(state + 2);
            if self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, join).is_err() {
                continue;
            }
            // SAFETY: this helper has joined, so the caller neither writes `work` nor returns before it leaves.
            let result = catch_unwind(AssertUnwindSafe(|| unsafe {
                if let Some(work) = *self.work.get() {
                    self.take_tasks(work);
                }
            }));
            if let Err(panic) = result {
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
            }
            self.state.fetch_sub(2, Ordering::Release);
        }
    }

    /// Waits for a call after the one that was `seen`, spinning and then asleep; returns false when the pool ends.
    fn wait(&self, seen: &mut usize, helper: usize) -> bool {
        let since = Instant::now();
        loop {
            for _ in 0..LOOKS {
                let call = self.call.load(Ordering::SeqCst);
                if call != *seen {
                    *seen = call;
                    return !self.end.load(Ordering::SeqCst);
                }
                std::hint::spin_loop();
            }
            if self.end.load(Ordering::SeqCst) {
                return false;
            }
            if since.elapsed() > AWAKE {
                // Announce sleep first, then check again: either the caller sees the flag or this thread sees the call.
                self.asleep[helper].store(true, Ordering::SeqCst);
                if self.call.load(Ordering::SeqCst) == *seen && !self.end.load(Ordering::SeqCst) {
                    std::thread::park();
                }
                self.asleep[helper].store(false, Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(threads: usize) -> ThreadPool {
        ThreadPool::new(threads).unwrap()
    }

    /// Runs `tasks` tasks and asserts that each was run once.
    fn check(team: &ThreadPool, tasks: usize) {
        let count: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
        team.run(tasks, &|i| {
            count[i].fetch_add(1, Ordering::Relaxed);
        });
        assert!(count.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{tasks} tasks on {} threads", team.threads());
    }

    #[test]
    fn every_task_is_run_once_awake_or_asleep() {
        for threads in [0, 1, 2, 3, 7] {
            let team = team(threads);
            assert_eq!(team.threads(), threads.max(1));
            for tasks in 0..300 {
                check(&team, tasks % 70);
                if tasks % 50 == 0 {
                    std::thread::sleep(3 * AWAKE);
                }
            }
            check(&team, 10_000);
        }
    }

    #[test]
    fn helpers_do_help() {
        let team = team(2);
        let both = AtomicUsize::new(0);
        // Each task waits for the other, so only two threads can finish.
        team.run(2, &|_| {
            both.fetch_add(1, Ordering::SeqCst);
            while both.load(Ordering::SeqCst) < 2 {
                std::thread::yield_now();
            }
        });
    }

    #[test]
    fn calls_within_tasks_and_from_other_threads_are_run_too() {
        let team = team(3);
        team.run(20, &|_| check(&team, 9));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..500).for_each(|tasks| check(&team, tasks % 40)));
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_survives() {
        let team = team(3);
        for bad in 0..40 {
            let result = catch_unwind(AssertUnwindSafe(|| {
                team.run(40, &|i| {
                    assert!(i != bad, "task {bad}");
                });
            }));
            let message = result.unwrap_err();
            assert_eq!(message.downcast_ref::<String>(), Some(&format!("task {bad}")));
            check(&team, 40);
        }
    }
}
