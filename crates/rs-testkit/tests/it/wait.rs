use std::future::{pending, ready};
use std::time::Duration;

use rs_testkit::{Error, wait_until, within};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn it_returns_what_came() -> Result<(), Error> {
    let mut looks = 0;
    let value = wait_until("three looks", Duration::from_secs(5), || {
        looks += 1;
        ready(if looks < 3 {
            Err("not yet")
        } else {
            Ok(Some(looks))
        })
    });
    assert_eq!(value.await?, 3);
    Ok(())
}

#[tokio::test]
async fn it_says_what_did_not_come() {
    let error = wait_until("the leader", SHORT, || ready(Err::<(), _>("no quorum")))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("the leader") && text.contains("no quorum") && text.contains("ms"),
        "{text}"
    );
}

#[tokio::test]
async fn ok_false_is_not_success() {
    let error = wait_until("truth", SHORT, || ready(Ok::<_, String>(false)))
        .await
        .unwrap_err();
    assert!(error.to_string().ends_with("last: false"), "{error}");
}

#[tokio::test]
async fn a_look_that_hangs_is_cut_off() {
    let error = wait_until("an end", SHORT, pending::<bool>)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("the first look did not end"),
        "{error}"
    );
}

#[tokio::test]
async fn a_limit_for_one_thing() {
    assert_eq!(within("nothing", SHORT, ready(1)).await.unwrap(), 1);
    let error = within("an end", SHORT, pending::<()>()).await.unwrap_err();
    assert!(error.to_string().contains("an end"), "{error}");
}
