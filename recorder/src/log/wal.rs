//! The write-ahead log: segments of frames, written once, made durable before anything is acknowledged. It never repairs
//! what was durable once.

use super::frame::{self, Frame, Rest};
use crate::Error;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Wal {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    offset: u64,
    capacity: u64,
    segment_bytes: u64,
}

impl Wal {
    /// Starts the first segment of an empty folder.
    pub(crate) fn create(folder: &Path, index: u64, segment_bytes: u64) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
        let (path, file) = new_segment(folder, index, segment_bytes)?;
        Ok(Self { folder: folder.into(), path, file, offset: 0, capacity: segment_bytes, segment_bytes })
    }

    /// Reads every frame from log index `from` on, and goes on behind the last. A torn tail of the last segment, which was
    /// never acknowledged, is cleared; any other damage is an error and changes nothing.
    pub(crate) fn open(
        folder: &Path,
        from: u64,
        segment_bytes: u64,
        mut each: impl FnMut(Frame) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let segments = segments(folder)?;
        let Some((last, _)) = segments.last().cloned() else {
            return Err(Error::mismatch(format!("`{}` holds no segment", folder.display())));
        };
        if segments.first().is_some_and(|(first, _)| *first > from) {
            return Err(Error::mismatch(format!("`{}` starts behind index {from}", folder.display())));
        }
        let mut next = None;
        for (index, path) in segments {
            let file =
                OpenOptions::new().read(true).write(true).open(&path).map_err(Error::file("open", &path))?;
            let damaged = |offset, why: String| Error::Damaged { path: path.clone(), offset, why };
            if next.is_some_and(|next| next != index) {
                return Err(damaged(
                    0,
                    format!("expected index {}, found {index}", next.unwrap_or_default()),
                ));
            }
            let (mut offset, mut at) = (0, index);
            while let Some(frame) = frame::read(&file, &path, offset)? {
                if frame.index != at {
                    return Err(damaged(offset, format!("expected index {at}, found {}", frame.index)));
                }
                (offset, at) = (frame.end, frame.next_index());
                if frame.index >= from {
                    each(frame)?;
                } else if at > from {
                    return Err(damaged(offset, format!("a frame crosses index {from}")));
                }
            }
            match frame::rest(&file, &path, offset)? {
                Rest::Blank => {}
                Rest::Torn if at < from => {
                    return Err(damaged(
                        offset,
                        format!("unreadable frame below index {from}, which is published"),
                    ));
                }
                Rest::Torn if index == last => clear(&file, &path, offset)?,
                Rest::Torn => return Err(damaged(offset, "unreadable frame before later segments".into())),
                Rest::Broken(whole) => {
                    return Err(damaged(
                        offset,
                        format!("unreadable frame before a whole one at byte {whole}"),
                    ));
                }
            }
            next = Some(at);
            if index == last {
                let capacity = file.metadata().map_err(Error::file("look at", &path))?.len();
                return Ok(Self { folder: folder.into(), path, file, offset, capacity, segment_bytes });
            }
        }
        Err(Error::mismatch("segments vanished while they were read"))
    }

    /// Writes one frame and makes it durable. After an error the state of the disk is unknown: never try again.
    pub(crate) fn append(&mut self, index: u64, frame: &[u8]) -> Result<(), Error> {
        let length = frame.len() as u64;
        // A segment that holds nothing yet grows instead: another of the same name would be needed.
        if self.offset > 0 && self.offset + length > self.capacity {
            self.capacity = self.segment_bytes.max(length);
            (self.path, self.file) = self.take_spare(index)?;
            self.offset = 0;
        }
        self.file.write_all_at(frame, self.offset).map_err(Error::file("write to", &self.path))?;
        self.file.sync_data().map_err(Error::file("sync", &self.path))?;
        self.offset += length;
        self.capacity = self.capacity.max(self.offset);
        Ok(())
    }

    /// From now on no write succeeds.
    #[cfg(test)]
    pub(crate) fn break_file(&mut self) {
        self.file = File::open(&self.path).unwrap();
    }

    /// More than half of the segment is written: time to prepare the next.
    pub(crate) fn wants_spare(&self) -> bool {
        self.offset * 2 > self.capacity
    }

    /// The prepared segment, or a new one where there is none or a larger one is needed.
    fn take_spare(&self, index: u64) -> Result<(PathBuf, File), Error> {
        let spare = self.folder.join(SPARE);
        let fits = fs::metadata(&spare).is_ok_and(|found| found.len() == self.capacity);
        if !fits {
            return new_segment(&self.folder, index, self.capacity);
        }
        let path = segment_path(&self.folder, index);
        fs::rename(&spare, &path).map_err(Error::file("take", &spare))?;
        sync_folder(&self.folder)?;
        let file =
            OpenOptions::new().read(true).write(true).open(&path).map_err(Error::file("open", &path))?;
        Ok((path, file))
    }
}

/// Prepares the next segment, so that the writer need not wait for the disk to find room.
pub(crate) fn prepare_spare(folder: &Path, segment_bytes: u64) -> Result<(), Error> {
    let spare = folder.join(SPARE);
    if spare.exists() {
        return Ok(());
    }
    let draft = folder.join("spare.draft");
    zeroed(&draft, segment_bytes, true)?;
    fs::rename(&draft, &spare).map_err(Error::file("make", &spare))
}

/// Where the last replay ended, so that the next one need not read a segment from its beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Log index of the next frame.
    next: u64,
    segment: PathBuf,
    offset: u64,
}

/// Hands every frame with `from` <= index < `to` to `each`, in order. All of them must be durable already. Begins at
/// `place` when that is where `from` stands, and gives the place where it ended.
pub(crate) fn replay(
    folder: &Path,
    place: &Place,
    from: u64,
    to: u64,
    mut each: impl FnMut(Frame) -> Result<(), Error>,
) -> Result<Place, Error> {
    let segments = segments(folder)?;
    let start = segments.iter().rposition(|(index, _)| *index <= from).unwrap_or_default();
    let mut ended = Place { next: from, ..Place::default() };
    for (index, path) in segments.into_iter().skip(start) {
        if index >= to {
            break;
        }
        let file = File::open(&path).map_err(Error::file("open", &path))?;
        let known = place.next == from && place.segment == path;
        ended.offset = if known { place.offset } else { 0 };
        while ended.next < to
            && let Some(frame) = frame::read(&file, &path, ended.offset)?
        {
            ended.offset = frame.end;
            if frame.index >= from {
                ended.next = frame.next_index();
                each(frame)?;
            }
        }
        ended.segment = path;
    }
    if ended.next == to {
        return Ok(ended);
    }
    Err(Error::mismatch(format!("segments end at index {}, expected {to}", ended.next)))
}

/// Deletes the segments all of whose entries lie below `index`.
pub(crate) fn discard_below(folder: &Path, index: u64) -> Result<(), Error> {
    for pair in segments(folder)?.windows(2) {
        if let [(_, path), (next, _)] = pair
            && *next <= index
        {
            fs::remove_file(path).map_err(Error::file("delete", path))?;
        }
    }
    Ok(())
}

/// Whether the folder holds any segment.
pub(crate) fn exists(folder: &Path) -> Result<bool, Error> {
    Ok(folder.exists() && !segments(folder)?.is_empty())
}

/// Segments by the log index with which they start.
pub(crate) fn segments(folder: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::file("list", folder))? {
        let path = entry.map_err(Error::file("list", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".wal"));
        if let Some(index) = name.and_then(|name| name.parse().ok()) {
            found.push((index, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn segment_path(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("{index:020}.wal"))
}

fn new_segment(folder: &Path, index: u64, bytes: u64) -> Result<(PathBuf, File), Error> {
    let path = segment_path(folder, index);
    let file = zeroed(&path, bytes, false)?;
    sync_folder(folder)?;
    Ok((path, file))
}

/// A file of zeros: writing into blocks that exist needs no journal of the file system later.
fn zeroed(path: &Path, bytes: u64, replace: bool) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).create_new(!replace).truncate(replace);
    let mut file = options.open(path).map_err(Error::file("make", path))?;
    let zeros = vec![0; 1 << 20];
    let mut missing = usize::try_from(bytes).unwrap_or(usize::MAX);
    while missing > 0 {
        let part = zeros.get(..missing.min(zeros.len())).unwrap_or(&zeros);
        file.write_all(part).map_err(Error::file("fill", path))?;
        missing -= part.len();
    }
    file.sync_all().map_err(Error::file("sync", path))?;
    Ok(file)
}

fn clear(file: &File, path: &Path, offset: u64) -> Result<(), Error> {
    let size = file.metadata().map_err(Error::file("look at", path))?.len();
    // Cut and grown again, the file reads as zeros from here on.
    file.set_len(offset).and_then(|()| file.set_len(size)).map_err(Error::file("clear the tail of", path))?;
    file.sync_all().map_err(Error::file("sync", path))
}

fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::file("sync", folder))
}

const SPARE: &str = "spare";
