//! What people see: a calm screen in a terminal, plain lines elsewhere.

mod terminal;

use std::{io::IsTerminal, time::Duration};

use anyhow::Result;
use rs_patterns::core::{Clock, FlightRecorder};
use tokio::sync::mpsc;

use self::terminal::Terminal;
use crate::{
    args::Options,
    control,
    demo::Demo,
    say::say,
    view::{Before, Line, Tone, signals, total},
};

const KEYS: &str =
    "[f]ail payments [k]ill [s]top s[l]ow [n]otify fails [h]eal [m]igrate + - [q]uit";

/// Shows what happens, until somebody presses `q`.
pub(crate) async fn show(demo: &Demo, options: &Options) -> Result<()> {
    if options.quiet {
        std::future::pending::<()>().await;
    }
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        draw(demo).await
    } else {
        tell(demo).await
    }
}

/// A line a second, and what is signalled.
async fn tell(demo: &Demo) -> Result<()> {
    say!("orders on {}, metrics on {}", demo.gateway, demo.metrics());
    let mut observer = FlightRecorder::global().observe();
    let mut before = demo.load.meter.reading();
    loop {
        Clock::default().sleep(Duration::from_secs(1)).await;
        let now = demo.load.meter.reading();
        say!("{}", total(&now.since(&before)));
        before = now;
        while let Some(recorded) = observer.try_next() {
            say!("  {}", recorded.signal);
        }
    }
}

async fn draw(demo: &Demo) -> Result<()> {
    let terminal = Terminal::enter()?;
    let (pressed, mut keys) = mpsc::channel(16);
    // A thread, because a read of a terminal cannot be given up; it ends with the process.
    std::thread::spawn(move || terminal::keys(&pressed));
    let mut before = Before::of(demo);
    let mut notice = String::new();
    let clock = Clock::default();
    loop {
        tokio::select! {
            key = keys.recv() => match key {
                Some('q') | None => return Ok(()),
                Some(key) => notice = press(demo, key).await,
            },
            () = clock.sleep(Duration::from_secs(1)) => {
                let (width, height) = terminal.size();
                let mut lines = before.draw(demo);
                let room = usize::from(height).saturating_sub(lines.len() + 2);
                let said = signals(room);
                let padding = room - said.len();
                lines.extend(said);
                lines.extend(std::iter::repeat_n(Line::new(), padding));
                lines.push(vec![(Tone::Good, notice.clone())]);
                lines.push(vec![(Tone::Quiet, KEYS.to_owned())]);
                terminal.draw(&lines, usize::from(width), usize::from(height))?;
            }
        }
    }
}

/// What a key does. What to say about it.
async fn press(demo: &Demo, key: char) -> String {
    let rate = demo.load.rate();
    let line = match key {
        'f' => "payments fail".to_owned(),
        'k' => "inventory-2 kill".to_owned(),
        's' => "inventory-3 stop".to_owned(),
        'l' => "payments-2 slow 200ms".to_owned(),
        'n' => "notifications fail".to_owned(),
        'm' => "cache migrate".to_owned(),
        'h' => "heal".to_owned(),
        '+' => format!("rate {}", rate * 1.5),
        '-' => format!("rate {}", rate / 1.5),
        _ => return String::new(),
    };
    match control::apply(demo, &line).await {
        Ok(done) => done,
        Err(error) => format!("{error:#}"),
    }
}
