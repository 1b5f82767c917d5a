//! Two metrics, one call that exports them, and what a scraper sees.
//!
//! `cargo run -p rs-metrics --example basic --features prometheus,tracing`

use std::{
    error::Error,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use rs_core::{Call, Correlation, Unit, label_set};
use rs_metrics::{
    Counter, Exporter, Histogram, LATENCY, Metric,
    tracing::{Logs, Tracing, call_span},
};

label_set! {
    /// How a payment went.
    pub enum Payment: "payment" {
        /// The money moved.
        Charged = "charged",
        /// The bank said no.
        Declined = "declined",
    }
}

static PAYMENTS: Metric<Counter, Payment, 1> =
    Metric::counter("desk_payments_total", "Payments that were tried.").by(["desk"]);
static TOOK: Metric<Histogram, (), 1> = Metric::histogram(
    "desk_payment_seconds",
    "How long a payment took.",
    Unit::Seconds,
    LATENCY,
)
.by(["desk"]);

fn main() -> Result<(), Box<dyn Error>> {
    let traced = Tracing::new("cash-desk").logs(Logs::Text).install()?;
    // Bound once, here even before anything exports them.
    let (payments, took) = (PAYMENTS.bind("north"), TOOK.bind("north"));
    let exported = Exporter::new().serve_on("127.0.0.1:0").install()?;
    let address = exported.address().ok_or("it serves")?;

    for (amount, millis) in [(12, 3), (7, 40), (5000, 180)] {
        let call = Call::new("charge").with_correlation(Correlation::fresh());
        let _inside = call_span(&call).entered();
        let payment = if amount < 100 {
            Payment::Charged
        } else {
            Payment::Declined
        };
        payments[payment].increment();
        took.record_time(Duration::from_millis(millis));
        tracing::info!(amount, %payment, "the bank answered");
    }

    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: desk\r\nconnection: close\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    println!("http://{address}/metrics says:");
    for line in page.lines().filter(|line| line.contains("desk_")) {
        println!("{line}");
    }
    traced.shutdown();
    Ok(())
}
