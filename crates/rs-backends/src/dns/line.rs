//! Questions to one name server, and its answers.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use rs_core::Clock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    select,
};

use super::message::{Message, Question};
use crate::BackendError;

/// How many questions are under way at once.
const WINDOW: usize = 16;

/// How often one is asked before its server is given up.
const TRIES: u32 = 2;

/// The answers to these, in their order, in at most so long.
pub(super) async fn ask(
    server: SocketAddr,
    questions: &[Question],
    limit: Duration,
) -> Result<Vec<Message>, BackendError> {
    // Time of the network, whatever the backend's own clock says.
    let clock = &Clock::tokio();
    let all = async {
        let mut answers = Vec::with_capacity(questions.len());
        for some in questions.chunks(WINDOW) {
            let line = Line::open(server).await?;
            answers.extend(line.ask(clock, some, limit / TRIES).await?);
        }
        Ok(answers)
    };
    select! {
        biased;
        answers = all => answers,
        () = clock.sleep(limit) => Err(BackendError::TimedOut(limit)),
    }
}

/// A port of its own, so that nobody elsewhere knows where an answer must go.
struct Line {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Line {
    async fn open(server: SocketAddr) -> Result<Self, BackendError> {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await.map_err(failed)?;
        socket.connect(server).await.map_err(failed)?;
        Ok(Self { socket, server })
    }

    async fn ask(
        &self,
        clock: &Clock,
        questions: &[Question],
        again_after: Duration,
    ) -> Result<Vec<Message>, BackendError> {
        let mut pending: Vec<_> = questions
            .iter()
            .map(|question| (question, fastrand::u16(..), None))
            .collect();
        loop {
            for (question, id, _) in pending.iter().filter(|(_, _, answer)| answer.is_none()) {
                let sent = self.socket.send(&question.to_wire(*id)).await;
                sent.map_err(failed)?;
            }
            let hear = self.hear(&mut pending);
            select! {
                biased;
                heard = hear => {
                    heard?;
                    break;
                }
                () = clock.sleep(again_after) => {}
            }
        }
        let mut answers = Vec::with_capacity(pending.len());
        for (question, id, answer) in pending {
            answers.push(match answer {
                Some(answer) if !answer.truncated => answer,
                _ => self.ask_for_all(question, id).await?,
            });
        }
        Ok(answers)
    }

    /// Until there is an answer to each.
    async fn hear(
        &self,
        pending: &mut [(&Question, u16, Option<Message>)],
    ) -> Result<(), BackendError> {
        let mut datagram = vec![0; 4096];
        while pending.iter().any(|(_, _, answer)| answer.is_none()) {
            let length = self.socket.recv(&mut datagram).await.map_err(failed)?;
            let heard = datagram.get(..length).unwrap_or_default();
            let id = heard.first_chunk().copied().map(u16::from_be_bytes);
            for (question, asked, answer) in &mut *pending {
                if answer.is_none() && id == Some(*asked) {
                    let said = Message::read(heard)?;
                    // Another's answer, or one that somebody made up, is none.
                    *answer = said.is_for(question).then_some(said);
                }
            }
        }
        Ok(())
    }

    /// What is too much for a datagram.
    async fn ask_for_all(&self, question: &Question, id: u16) -> Result<Message, BackendError> {
        let mut stream = TcpStream::connect(self.server).await.map_err(failed)?;
        let asked = question.to_wire(id);
        let length = u16::try_from(asked.len()).unwrap_or_default();
        let message = [&length.to_be_bytes(), &*asked].concat();
        stream.write_all(&message).await.map_err(failed)?;
        let length = stream.read_u16().await.map_err(failed)?;
        let mut heard = vec![0; usize::from(length)];
        stream.read_exact(&mut heard).await.map_err(failed)?;
        let said = Message::read(&heard)?;
        let is_it = heard.first_chunk() == Some(&id.to_be_bytes()) && said.is_for(question);
        match is_it && !said.truncated {
            true => Ok(said),
            false => Err(BackendError::malformed("the answer to something else")),
        }
    }
}

fn failed(error: std::io::Error) -> BackendError {
    BackendError::unreachable(error)
}
