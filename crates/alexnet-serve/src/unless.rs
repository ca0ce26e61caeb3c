//! Race of two futures, decided by the first to finish.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Runs `work`; returns `None` if `stop` finishes first.
pub(crate) async fn unless<T>(stop: impl Future<Output = ()>, work: impl Future<Output = T>) -> Option<T> {
    let (mut stop, mut work) = (pin!(stop), pin!(work));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => stop.as_mut().poll(context).map(|()| None),
    })
    .await
}
