//! A guard of your own: at most so many calls at once, and a waiting room of a bounded size.
//!
//! ```sh
//! cargo run -p rs-core --example write_a_guard
//! ```
//!
//! A guard is two functions: decide and give out a ticket, take the ticket back. All the rest of this
//! file is what makes one pleasant to live with: a refusal that explains itself, a signal when
//! something rare happens, and an entry in the directory by which people can look and steer.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rs_core::{
    Action, ActionSpec, Call, Clock, ConfigError, ControlError, Deadline, Directory, Ending,
    Failure, FlightRecorder, Guard, Inspect, Mandate, Measure, Name, Policy, Reason, Rejection,
    Severity, SignalKind, Unit, Value, config,
};
use tokio::{sync::Semaphore, task::JoinSet};

// 1. Why it may refuse, in which numbers, and what it announces: declared once.

static INSIDE: Measure = Measure::new("calls inside", Unit::Count);
static WAITING: Measure = Measure::new("calls waiting", Unit::Count);

static FULL: Reason = Reason::new("gate", "full").judging(&INSIDE);
static QUEUE_FULL: Reason = Reason::new("gate", "queue full").judging(&WAITING);
static TOO_LATE: Reason = Reason::new("gate", "deadline passed in the queue");
static SHUT: Reason = Reason::new("gate", "shut by hand");

static WAS_SHUT: SignalKind = SignalKind::new(
    "gate",
    "shut",
    Severity::Warning,
    "shut with {calls inside} inside",
);

// 2. The guard itself.

/// Admits so many calls at once; some more wait for a seat, in their order.
struct Gate {
    name: Name,
    all: usize,
    seats: Semaphore,
    queue_len: usize,
    queue: Semaphore,
    clock: Clock,
    shut: Mutex<Option<Shut>>,
}

/// Every state that somebody forces has an author and a reason, and may end by itself.
#[derive(Clone)]
struct Shut {
    by: Arc<Mandate>,
    until: Option<Deadline>,
}

impl Gate {
    fn new(name: &'static str, seats: usize, queue: usize) -> Result<Self, ConfigError> {
        let most = Semaphore::MAX_PERMITS;
        Ok(Self {
            name: name.into(),
            all: config::in_range("seats", seats, 1..=most)?,
            seats: Semaphore::new(seats),
            queue_len: config::in_range("queue", queue, 0..=most)?,
            queue: Semaphore::new(queue),
            clock: Clock::default(),
            shut: Mutex::new(None),
        })
    }

    fn inside(&self) -> usize {
        self.all - self.seats.available_permits()
    }

    fn waiting(&self) -> usize {
        self.queue_len - self.queue.available_permits()
    }

    /// By whose order it is shut, and until when, if it is.
    fn is_shut(&self) -> Option<Shut> {
        let shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let over = |shut: &&Shut| shut.until.is_some_and(|until| until.has_passed(now));
        shut.as_ref().filter(|shut| !over(shut)).cloned()
    }

    fn check_open(&self) -> Result<(), Rejection> {
        let Some(shut) = self.is_shut() else {
            return Ok(());
        };
        let refused = SHUT.reject(self.name);
        Err(match shut.until {
            Some(until) => refused.try_at(until.moment()),
            None => refused,
        })
    }
}

impl Guard for Gate {
    // What an admitted call brings back. A seat is like any other, so there is nothing to remember;
    // a breaker would put its generation here.
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        self.check_open()?;
        match self.seats.try_acquire() {
            // The seat is given back in `leave`, not when this variable goes out of scope.
            Ok(seat) => {
                seat.forget();
                Ok(())
            }
            Err(_) => Err(FULL
                .reject(self.name)
                .because(self.inside() as f64, self.all as f64)),
        }
    }

    // Only a guard that waits writes this one. Whatever it holds while it waits must be given back
    // when the future is dropped: `place` does that, and so does tokio's own place in its queue.
    async fn enter(&self, call: &Call) -> Result<(), Rejection> {
        self.check_open()?;
        if let Ok(seat) = self.seats.try_acquire() {
            seat.forget();
            return Ok(());
        }
        let Ok(_place) = self.queue.try_acquire() else {
            let (waiting, limit) = (self.waiting() as f64, self.queue_len as f64);
            return Err(QUEUE_FULL.reject(self.name).because(waiting, limit));
        };
        let too_late = async {
            match call.deadline() {
                Some(deadline) => self.clock.sleep_until(deadline.moment()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Ok(seat) = self.seats.acquire() => {
                seat.forget();
                Ok(())
            }
            () = too_late => Err(TOO_LATE.reject(self.name)),
        }
    }

    // Called once for every ticket: also when the caller went away or panicked.
    fn leave(&self, (): (), _ending: Ending) {
        self.seats.add_permits(1);
    }
}

// 3. The entry in the directory: what a console shows, and what people can tell it.

impl Inspect for Gate {
    fn kind(&self) -> &'static str {
        "gate"
    }

    fn name(&self) -> Name {
        self.name
    }

    fn snapshot(&self) -> Value {
        Value::map([
            ("inside", self.inside().into()),
            ("seats", self.all.into()),
            ("waiting", self.waiting().into()),
            (
                "shut",
                self.is_shut().map(|shut| shut.by.to_string()).into(),
            ),
        ])
    }

    fn actions(&self) -> &'static [ActionSpec] {
        const {
            &[
                ActionSpec::new("shut", "Lets nobody in any more."),
                ActionSpec::new("open", "Lets calls in again."),
            ]
        }
    }

    fn control(&self, action: &Action, mandate: &Mandate) -> Result<(), ControlError> {
        let shut = match action.name() {
            "shut" => Some(Shut {
                by: Arc::new(mandate.clone()),
                until: mandate
                    .expires_in()
                    .map(|time| Deadline::after(self.clock.now(), time)),
            }),
            "open" => None,
            _ => return Err(ControlError::unknown(action, self.actions())),
        };
        if let Some(Shut { by, .. }) = &shut {
            FlightRecorder::global().record(|| {
                let inside = INSIDE.at(self.inside() as f64);
                WAS_SHUT.signal(self.name).with(inside).by(Arc::clone(by))
            });
        }
        *self.shut.lock().unwrap_or_else(PoisonError::into_inner) = shut;
        Ok(())
    }
}

// 4. In use.

/// What the guards protect: something that takes a while and never fails.
async fn cook(call: Call) -> Result<Name, Infallible> {
    Clock::default().sleep(Duration::from_millis(20)).await;
    Ok(call.name())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Two guards in a stack, the first outermost. Other crates' breakers and retries go in the same
    // tuple.
    let house = Arc::new(Gate::new("house", 5, 0)?);
    let kitchen = Arc::new(Gate::new("kitchen", 2, 1)?);
    Directory::global().register(&house);
    Directory::global().register(&kitchen);
    let restaurant = Arc::new((Arc::clone(&house), Arc::clone(&kitchen)));

    println!("Seven guests come at once; the house has 5 seats, the kitchen 2 and one may wait:");
    let mut guests = JoinSet::new();
    for guest in 1..=7 {
        let restaurant = Arc::clone(&restaurant);
        guests.spawn(async move { (guest, restaurant.call("soup", cook).await) });
    }
    let mut told = guests.join_all().await;
    told.sort_by_key(|(guest, _)| *guest);
    let mut served = 0;
    for (guest, answer) in &told {
        match answer {
            Ok(dish) => {
                served += 1;
                println!("  guest {guest} has had {dish}");
            }
            Err(Failure::Rejected(why)) => println!("  guest {guest}: {why}"),
            Err(other) => println!("  guest {guest}: {other}"),
        }
    }
    assert_eq!(served, 3, "two at once and one that waited");

    println!("A guest who has less time than the others need gives up its place in the queue:");
    let seats = [
        kitchen.try_admit(&"soup".into())?,
        kitchen.try_admit(&"soup".into())?,
    ];
    let hurried = Call::new("soup").within(Duration::from_millis(5), &Clock::default());
    let answer = restaurant.call(hurried, cook).await;
    println!(
        "  {}",
        answer.err().map_or_else(String::new, |why| why.to_string())
    );
    drop(seats);

    println!("Somebody shuts the kitchen, for a reason and for a time:");
    let by = Mandate::new("anna", "the stove is on fire").lasting(Duration::from_secs(60));
    Directory::global().control("gate", "kitchen", &Action::new("shut"), &by)?;
    let answer = restaurant.call("soup", cook).await;
    println!(
        "  {}",
        answer.err().map_or_else(String::new, |why| why.to_string())
    );

    println!("Everybody can see it, and nothing was left behind:");
    for entry in Directory::global().snapshots() {
        println!("  {} {}: {}", entry.kind, entry.name, entry.state);
    }
    println!("{}", FlightRecorder::global().log(10));
    assert_eq!(
        (house.inside(), kitchen.inside(), kitchen.waiting()),
        (0, 0, 0)
    );

    println!("A slip of the pen is answered with what was meant:");
    let slip = Directory::global().control("gate", "kitchen", &Action::new("opne"), &by);
    println!(
        "  {}",
        slip.err().map_or_else(String::new, |why| why.to_string())
    );
    println!(
        "  {}",
        Gate::new("bar", 0, 1)
            .err()
            .map_or_else(String::new, |why| why.to_string())
    );
    Ok(())
}
