#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use strait_resolve::{Origin, Transport};
use tokio::io::{DuplexStream, ReadBuf, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::common::Common;
use crate::testkit::*;

struct Served {
    client: DuplexStream,
    script: Arc<Script>,
    stop: CancellationToken,
    writes: Arc<AtomicUsize>,
    ended: JoinHandle<Closed>,
}

/// Counts the writes of the side it wraps.
struct Counting<S>(S, Arc<AtomicUsize>);

impl<S: AsyncRead + Unpin> AsyncRead for Counting<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counting<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(cx, buf);
        if written.is_ready() {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

fn start(limits: StreamLimits, pipe: usize) -> Served {
    start_in(&Common::new(), limits, pipe)
}

fn start_in(common: &Arc<Common>, limits: StreamLimits, pipe: usize) -> Served {
    let (client, server) = duplex(pipe);
    let (script, stop, writes) = (Script::new(), CancellationToken::new(), Arc::<AtomicUsize>::default());
    let origin = Origin {
        keepalive: Some(limits.keepalive()),
        ..Origin::new("192.0.2.1:5353".parse().unwrap(), Transport::Tcp)
    };
    let questions = Questions::new(Arc::<Script>::clone(&script), origin, limits.max_in_flight);
    let server = Counting(server, Arc::clone(&writes));
    let stopped = stop.clone();
    let share = Arc::clone(common).share();
    let ended = tokio::spawn(async move { serve(server, questions, share, &limits, &stopped).await });
    Served { client, script, stop, writes, ended }
}

impl Served {
    async fn send(&mut self, messages: &[Vec<u8>]) {
        self.client.write_all(&frames(messages)).await.unwrap();
    }

    async fn receive(&mut self) -> u32 {
        number(&soon(read_frame(&mut self.client)).await.expect("an answer"))
    }

    /// The server's side ends while the client's stays open.
    async fn ended(self) -> Closed {
        soon(self.ended).await.unwrap()
    }
}

#[tokio::test]
async fn rfc7766_6_2_1_1_a_slow_question_does_not_hold_back_a_fast_one() {
    let mut served = start(patient(), 1 << 16);
    served.send(&[message(HELD, 1), message(LATER, 2), message(NOW, 3)]).await;
    let mut fast = [served.receive().await, served.receive().await];
    fast.sort_unstable();
    assert_eq!(fast, [2, 3]);
    served.script.release();
    assert_eq!(served.receive().await, 1);
}

#[tokio::test]
async fn rfc7766_8_answers_ready_together_leave_in_one_write() {
    let mut served = start(patient(), 1 << 20);
    let asked: Vec<Vec<u8>> = (0..100).map(|n| message(NOW, n)).collect();
    served.send(&asked).await;
    for n in 0..100 {
        assert_eq!(served.receive().await, n);
    }
    assert_eq!(served.writes.load(Ordering::SeqCst), 1, "answers given at once");

    let asked: Vec<Vec<u8>> = (0..100).map(|n| message(HELD, n)).collect();
    served.send(&asked).await;
    eventually(|| served.script.held() == 100).await;
    served.script.release();
    for _ in 0..100 {
        served.receive().await;
    }
    // The answers may become ready in a few portions, never one by one.
    let writes = served.writes.load(Ordering::SeqCst) - 1;
    assert!(writes <= 10, "{writes} writes for 100 answers");
}

#[tokio::test]
async fn ten_thousand_tiny_messages_are_all_answered() {
    let mut served = start(patient(), 4096);
    let (mut reader, mut writer) = tokio::io::split(served.client);
    let asking = tokio::spawn(async move {
        for n in 0..10_000 {
            writer.write_all(&frames([&message(if n % 2 == 0 { NOW } else { LATER }, n)])).await.unwrap();
        }
        writer
    });
    let mut seen = vec![false; 10_000];
    for _ in 0..10_000 {
        seen[number(&soon(read_frame(&mut reader)).await.unwrap()) as usize] = true;
    }
    assert!(seen.into_iter().all(|s| s));
    served.client = reader.unsplit(asking.await.unwrap());
    drop(served.client);
    assert_eq!(soon(served.ended).await.unwrap(), Closed::Client);
}

#[tokio::test]
async fn reading_pauses_while_as_many_as_may_be_are_in_work() {
    let mut served = start(StreamLimits { max_in_flight: 2, ..patient() }, 1 << 16);
    served.send(&[message(HELD, 1), message(HELD, 2), message(NOW, 3)]).await;
    eventually(|| served.script.held() == 2).await;
    assert_eq!(served.writes.load(Ordering::SeqCst), 0, "the third is not read yet");
    served.script.release();
    let mut all = [served.receive().await, served.receive().await, served.receive().await];
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3]);
}

#[tokio::test]
async fn large_questions_pause_reading_before_their_number_does() {
    let served = start(patient(), 1 << 16);
    let mut large = message(HELD, 0);
    large.resize(65_535, 0);
    let (mut reader, mut writer) = tokio::io::split(served.client);
    let asking = tokio::spawn(async move { writer.write_all(&frames([&large; 10])).await });
    // 256 KiB in work: four whole messages fit under it, the fifth passes it.
    eventually(|| served.script.held() == 5).await;
    let mut answered = 0;
    while answered < 10 {
        assert!(served.script.held() <= 5);
        served.script.release();
        if let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(20), read_frame(&mut reader)).await {
            answered += 1;
        }
        assert!(served.script.held() <= 5);
    }
    served.stop.cancel();
    drop((asking, reader));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_trickles_in_is_cut_off() {
    // The client sends an octet every second; no message of 17 octets is complete within 5 s.
    let mut served = start(StreamLimits { message_timeout: Duration::from_secs(5), ..patient() }, 1 << 16);
    let began = Instant::now();
    for octet in frames([&message(NOW, 1)]) {
        if served.client.write_all(&[octet]).await.is_err() {
            break;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(served.ended.await.unwrap(), Closed::SlowMessage);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn one_octet_then_silence_is_cut_off() {
    let mut served = start(StreamLimits { message_timeout: Duration::from_secs(5), ..patient() }, 1 << 16);
    served.client.write_all(&[0]).await.unwrap();
    assert_eq!(served.ended().await, Closed::SlowMessage);
}

#[tokio::test(start_paused = true)]
async fn silence_is_closed_after_the_idle_timeout() {
    let mut served = start(StreamLimits { idle_timeout: Duration::from_secs(7), ..patient() }, 1 << 16);
    // A first question shows that the connection is served, and its time runs.
    served.send(&[message(NOW, 1)]).await;
    served.receive().await;
    let began = Instant::now();
    tokio::time::advance(Duration::from_secs(5)).await;
    served.send(&[message(NOW, 1)]).await;
    served.receive().await;
    assert!(read_frame(&mut served.client).await.is_none());
    assert_eq!(began.elapsed().as_secs(), 12, "the timeout runs from the last question");
    drop(served.client);
    assert_eq!(soon(served.ended).await.unwrap(), Closed::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_question_in_work_is_not_idleness() {
    let mut served = start(StreamLimits { idle_timeout: Duration::from_secs(7), ..patient() }, 1 << 16);
    served.send(&[message(HELD, 1)]).await;
    eventually(|| served.script.held() == 1).await;
    tokio::time::advance(Duration::from_secs(30)).await;
    served.script.release();
    assert_eq!(served.receive().await, 1);
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_no_questions_do_not_keep_a_connection_open() {
    let mut served = start(StreamLimits { idle_timeout: Duration::from_secs(7), ..patient() }, 1 << 16);
    while served.client.write_all(&frames([&message(SILENT, 1)])).await.is_ok() {
        tokio::time::advance(Duration::from_secs(1)).await;
        if served.ended.is_finished() {
            break;
        }
    }
    assert_eq!(served.ended().await, Closed::Idle);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off() {
    let limits = StreamLimits { write_timeout: Duration::from_secs(5), ..patient() };
    let mut served = start(limits, 4096);
    let asked = frames(&vec![message(LARGE, 0); 50]);
    served.client.write_all(&asked).await.unwrap();
    assert_eq!(served.ended().await, Closed::NotReading);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_read_while_answers_pile_up() {
    let served = start(patient(), 4096);
    let (_unread, mut writer) = tokio::io::split(served.client);
    let asked = frames(&vec![message(LARGE, 0); 1000]);
    // The paused clock moves only once nobody has anything left to do: so this ends, and the questions are not all read.
    assert!(tokio::time::timeout(Duration::from_secs(1), writer.write_all(&asked)).await.is_err());
    // Two answers of 60,000 octets pass the bound; the pipe takes a little of them.
    assert!(served.script.origins.lock().unwrap().len() <= 3);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_an_octet_now_and_then_is_cut_off() {
    let limits = StreamLimits { write_timeout: Duration::from_secs(5), ..patient() };
    let mut served = start(limits, 4096);
    served.send(&[message(LARGE, 0)]).await;
    let began = Instant::now();
    // 60,000 octets at 1,000 a second.
    let mut some = [0; 1000];
    while served.client.read_exact(&mut some).await.is_ok() {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(served.ended().await, Closed::NotReading);
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_a_large_backlog_steadily_is_served() {
    let limits = StreamLimits { write_timeout: Duration::from_secs(5), ..patient() };
    let served = start(limits, 4096);
    let (mut reader, mut writer) = tokio::io::split(served.client);
    let asking = tokio::spawn(async move {
        writer.write_all(&frames(&vec![message(LARGE, 0); 20])).await.unwrap();
        writer
    });
    // 1.2 MB at 60,000 octets in 2 s take many times the timeout.
    for _ in 0..20 {
        assert!(read_frame(&mut reader).await.is_some());
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    drop(asking.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn answers_that_find_no_room_are_not_made() {
    let mut served = start(patient(), 4096);
    let asked: Vec<Vec<u8>> = (0..200).map(|n| message(HELD_LARGE, n)).collect();
    served.send(&asked).await;
    eventually(|| served.script.held() == 200).await;
    served.script.release();
    eventually(|| served.script.made() > 0).await;
    for read in 0..200 {
        let made = served.script.made();
        assert!(made <= read + 3, "{made} answers of 60,000 octets, {read} read");
        read_frame(&mut served.client).await.unwrap();
    }
}

#[tokio::test]
async fn long_answers_let_fewer_questions_into_work() {
    let mut served = start(patient(), 1 << 20);
    served.send(&[message(HELD_LARGE, 0)]).await;
    eventually(|| served.script.held() == 1).await;
    served.script.release();
    read_frame(&mut served.client).await.unwrap();
    served.send(&vec![message(HELD_LARGE, 1); 50]).await;
    eventually(|| served.script.held() == 4).await;
    let mut answered = 0;
    while answered < 50 {
        // 256 KiB are four answers of 60,000 octets.
        assert!(served.script.held() <= 4);
        served.script.release();
        if let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(20), read_frame(&mut served.client)).await {
            answered += 1;
        }
    }
}

#[tokio::test]
async fn over_the_common_bound_the_connection_that_wants_more_is_closed() {
    let common = Common::with_room(150_000);
    let mut first = start_in(&common, patient(), 4096);
    first.send(&[message(LARGE, 0), message(LARGE, 1)]).await;
    let mut second = start_in(&common, patient(), 4096);
    eventually(|| first.script.origins.lock().unwrap().len() == 2).await;
    second.send(&[message(LARGE, 0)]).await;
    assert_eq!(second.ended().await, Closed::Overloaded);
    // Little answers are served all the same.
    let mut third = start_in(&common, patient(), 4096);
    third.send(&[message(NOW, 7)]).await;
    assert_eq!(third.receive().await, 7);
    assert!(!first.ended.is_finished());
}

#[tokio::test]
async fn without_descriptors_an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let common = Common::new();
    let mut idle = start_in(&common, patient(), 4096);
    idle.send(&[message(NOW, 1)]).await;
    idle.receive().await;
    let mut busy = start_in(&common, patient(), 4096);
    busy.send(&[message(HELD, 2)]).await;
    eventually(|| busy.script.held() == 1).await;
    let ended = tokio::spawn(idle.ended());
    eventually(|| {
        common.relieve(&std::io::Error::from_raw_os_error(24));
        ended.is_finished()
    })
    .await;
    assert_eq!(ended.await.unwrap(), Closed::Descriptors);
    busy.script.release();
    assert_eq!(busy.receive().await, 2);
}

#[tokio::test]
async fn garbage_ends_the_connection() {
    // A TLS client hello, an HTTP request, an empty frame.
    for garbage in [&b"\x00\x01\x00\x16\x03\x01"[..], b"\x00\x05GET /", b"\x00\x00"] {
        let mut served = start(patient(), 1 << 16);
        served.client.write_all(garbage).await.unwrap();
        assert_eq!(served.ended().await, Closed::Malformed, "{garbage:?}");
    }
}

#[tokio::test]
async fn a_client_that_only_closes_its_sending_side_gets_its_answers() {
    let mut served = start(patient(), 1 << 16);
    served.send(&[message(HELD, 1), message(NOW, 2)]).await;
    served.client.shutdown().await.unwrap();
    assert_eq!(served.receive().await, 2);
    served.script.release();
    assert_eq!(served.receive().await, 1);
    assert!(soon(read_frame(&mut served.client)).await.is_none());
    assert_eq!(served.ended().await, Closed::Client);
}

#[tokio::test]
async fn draining_finishes_what_is_in_work() {
    let mut served = start(patient(), 1 << 16);
    served.send(&[message(HELD, 1)]).await;
    eventually(|| served.script.held() == 1).await;
    served.stop.cancel();
    served.script.release();
    assert_eq!(served.receive().await, 1);
    assert!(soon(read_frame(&mut served.client)).await.is_none());
    assert_eq!(served.ended().await, Closed::Drained);
}

#[tokio::test(start_paused = true)]
async fn draining_does_not_wait_for_ever() {
    let mut served = start(patient(), 1 << 16);
    served.send(&[message(HELD, 1)]).await;
    eventually(|| served.script.held() == 1).await;
    served.stop.cancel();
    assert_eq!(served.ended().await, Closed::Drained);
}

#[tokio::test(start_paused = true)]
async fn questions_of_a_client_that_went_away_are_given_up() {
    let mut served = start(patient(), 1 << 16);
    served.send(&[message(HELD, 1), message(HELD, 2)]).await;
    eventually(|| served.script.held() == 2).await;
    drop(served.client);
    assert_eq!(soon(served.ended).await.unwrap(), Closed::Client);
    assert_eq!(served.script.held(), 0);
}
