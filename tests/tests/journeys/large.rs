//! Messages far larger than any buffer: a value on its way to the server, and a row on its way back. Neither is ever held
//! whole.

use clyra_tests::{House, STRICT};

/// Bytes of the value; the same room is enough for any other length.
const VALUE_BYTES: usize = 96 << 20;
const GROWTH_KB_MAX: u64 = 24 << 10;

/// Most kilobytes that the house has ever held.
fn peak_kb(house: &House) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.standing["pid"])).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn large_values_pass_in_small_rooms() {
    let house = House::start(STRICT).await.unwrap();
    let client = house.through("").await.unwrap();
    let small: i32 = client.query_one("select length($1::bytea)", &[&vec![7_u8; 10]]).await.unwrap().get(0);
    assert_eq!(small, 10);
    let before = peak_kb(&house);
    let value = vec![7_u8; VALUE_BYTES];
    let length: i32 = client.query_one("select length($1::bytea)", &[&value]).await.unwrap().get(0);
    assert_eq!(usize::try_from(length).unwrap(), VALUE_BYTES);
    drop(value);
    let there = peak_kb(&house) - before;
    let sql = format!("select repeat('x', {VALUE_BYTES})");
    let row: String = client.query_one(&sql, &[]).await.unwrap().get(0);
    assert_eq!(row.len(), VALUE_BYTES);
    let back = peak_kb(&house) - before;
    println!("{VALUE_BYTES} bytes: {there} kB on the way there, {back} kB in all");
    assert!(back < GROWTH_KB_MAX, "{there} kB on the way there, {back} kB in all");
}
