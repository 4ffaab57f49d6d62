//! The book of keys: one is first, the others hear of it; and whatever ends it, the next one to open it knows.

use super::{Answer, Book, Claim, Held, Shape, Wish};
use std::{path::Path, sync::Arc};
use uuid::Uuid;

fn open(folder: &Path) -> Arc<Book> {
    Arc::new(Book::open(folder.to_owned(), 0).unwrap())
}

fn wish(key: u8, print: u8) -> Wish {
    let receipt = Uuid::from_bytes([key; 16]);
    Wish { key: [key; 32], print: [print; 32], receipt, at_us: 10, ttl_us: 1_000 }
}

fn first(book: &Arc<Book>, wish: &Wish) -> Held {
    match book.claim(wish).unwrap() {
        Claim::First(held) => held,
        other => panic!("{other:?}"),
    }
}

fn answer(rows: Option<Shape>) -> Answer {
    Answer { said: Arc::from(&b"C\0\0\0\x0eINSERT 0 1\0"[..]), rows }
}

#[test]
fn one_is_first_and_the_others_hear_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let book = open(folder.path());
    let held = first(&book, &wish(1, 1));
    assert!(matches!(book.claim(&wish(1, 1)).unwrap(), Claim::Open));
    assert!(matches!(book.claim(&wish(1, 2)).unwrap(), Claim::Other { .. }));
    held.done(Some(answer(None)));
    let Claim::Done { answer: said, receipt } = book.claim(&wish(1, 1)).unwrap() else { panic!() };
    assert_eq!((said, receipt), (Some(answer(None)), Uuid::from_bytes([1; 16])));
    assert!(matches!(book.claim(&wish(1, 2)).unwrap(), Claim::Other { .. }));
    // Not done, so that it may be done.
    first(&book, &wish(2, 1)).released();
    first(&book, &wish(2, 2)).released();
    // When its time is over, a key is a new one.
    assert!(matches!(book.claim(&Wish { at_us: 1_010, ..wish(1, 2) }).unwrap(), Claim::First(_)));
}

#[test]
fn nothing_is_forgotten_with_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let book = open(folder.path());
    first(&book, &wish(1, 1)).done(Some(answer(None)));
    first(&book, &wish(2, 1)).done(Some(answer(Some(Shape::Portal))));
    first(&book, &wish(3, 1)).released();
    drop(first(&book, &wish(4, 1)));
    // As after a kill: nobody says what became of it.
    std::mem::forget(first(&book, &wish(5, 1)));
    for _ in 0..2 {
        let book = open(folder.path());
        let claim = |key| book.claim(&wish(key, 1)).unwrap();
        assert!(matches!(claim(1), Claim::Done { answer: Some(said), .. } if said == answer(None)));
        assert!(matches!(claim(2), Claim::Done { answer: None, .. }), "rows are kept in memory alone");
        assert!(matches!(claim(4), Claim::Unknown { .. }));
        assert!(matches!(claim(5), Claim::Unknown { .. }));
        first(&book, &wish(3, 1)).released();
        let mut unknown: Vec<u8> = book.unknown(10).into_iter().map(|(key, ..)| key[0]).collect();
        unknown.sort_unstable();
        assert_eq!(unknown, [4, 5]);
        assert!(matches!(book.claim(&wish(4, 2)).unwrap(), Claim::Other { .. }));
    }
    let book = open(folder.path());
    assert!(book.resolve(&[4; 32], true).unwrap() && book.resolve(&[5; 32], false).unwrap());
    assert!(!book.resolve(&[1; 32], false).unwrap() && !book.resolve(&[9; 32], false).unwrap());
    let book = open(folder.path());
    assert!(matches!(book.claim(&wish(4, 1)).unwrap(), Claim::Done { answer: None, .. }));
    first(&book, &wish(5, 1)).released();
}

#[test]
fn a_torn_end_is_left_behind_and_damage_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let book = open(folder.path());
    first(&book, &wish(1, 1)).done(None);
    first(&book, &wish(2, 1)).done(None);
    drop(book);
    let path = folder.path().join("00000001.keys");
    let whole = std::fs::read(&path).unwrap();
    for cut in 1..60 {
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let book = open(folder.path());
        assert!(matches!(book.claim(&wish(1, 1)).unwrap(), Claim::Done { .. }), "{cut}");
        assert!(matches!(book.claim(&wish(2, 1)).unwrap(), Claim::Unknown { .. }), "{cut}");
    }
    let filled = [&whole[..], &[0; 3_000]].concat();
    std::fs::write(&path, filled).unwrap();
    drop(open(folder.path()));
    for place in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[place] ^= 0x10;
        std::fs::write(&path, &flipped).unwrap();
        let last = place >= whole.len() - 99;
        match Book::open(folder.path().to_owned(), 0) {
            // Nothing tells the length of the last record from one that was cut off.
            Ok(_) => assert!(last, "{place}"),
            Err(error) => assert!(error.to_string().contains("is not whole"), "{error}"),
        }
    }
    std::fs::write(folder.path().join("00000002.keys"), b"").unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = Book::open(folder.path().to_owned(), 0).unwrap_err();
    assert!(error.to_string().contains("is not whole"), "{error}");
}

#[test]
fn old_files_go_and_many_answers_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let book = open(folder.path());
    let long = Answer { said: vec![b'x'; 1 << 20].into(), rows: Some(Shape::Query) };
    for key in 0..100 {
        first(&book, &wish(key, 1)).done(Some(long.clone()));
    }
    let kept = |key| matches!(book.claim(&wish(key, 1)).unwrap(), Claim::Done { answer: Some(_), .. });
    assert!(!kept(0) && !kept(35) && kept(36) && kept(99));
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let mut key = [7; 32];
    for number in 0..200_000_u32 {
        key[..4].copy_from_slice(&number.to_be_bytes());
        first(&book, &Wish { key, ttl_us: 5, ..wish(0, 1) }).released();
    }
    assert!(files() > 2);
    book.upkeep(10_000);
    assert_eq!(files(), 1);
    assert!(book.inner().entries.len() < 1_024);
}
