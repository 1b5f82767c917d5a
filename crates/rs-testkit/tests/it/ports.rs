use std::collections::HashSet;

use rs_testkit::Error;

use crate::sigkill::Holder;

/// Each process knows only its own servers; the others it must not meet by luck.
#[tokio::test]
async fn processes_side_by_side_never_share_a_port() -> Result<(), Error> {
    let mut holders: Vec<_> = (0..2).map(|_| Holder::start(&["redis"; 8])).collect();
    let servers: Vec<_> = holders.iter_mut().flat_map(Holder::servers).collect();
    assert_eq!(servers.len(), 16);
    let urls: HashSet<_> = servers.iter().map(|server| &server.url).collect();
    assert_eq!(urls.len(), 16, "{servers:?}");
    Ok(())
}
