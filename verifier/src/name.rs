//! The names of the checks, in the order in which they are made, with what each one proves; it checks nothing.

/// A check of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// The zip is the one deterministic zip.
    Container,
    /// The right files are inside.
    Files,
    /// The manifest's envelope is well formed.
    ManifestEnvelope,
    /// The manifest is signed by a trusted recorder.
    ManifestSignature,
    /// The manifest lists every other file with its digests.
    ManifestSubjects,
    /// The checkpoint is signed by the trusted log.
    CheckpointSignature,
    /// Manifest and checkpoint speak of the same log.
    ManifestLog,
    /// Every entry is canonical and of a known shape.
    EntriesCanonical,
    /// Every entry is in the log.
    Inclusion,
    /// Every batch is signed by a trusted gateway.
    BatchSignature,
    /// Every entry is in its batch.
    BatchMembership,
    /// Streams are in order.
    StreamOrder,
    /// Every entry belongs to the bundle.
    RunMembers,
    /// The run is whole.
    RunComplete,
    /// Every intent has its outcome.
    Outcomes,
    /// Nothing is known to be lost.
    Gaps,
    /// Turns of the kill switch follow on one another, under the signatures that they need.
    Switches,
    /// The manifest counts right.
    Summary,
    /// The bundle explains itself.
    SpecText,
}

impl Name {
    /// Every check, in order.
    pub const ALL: [Self; 19] = [
        Self::Container,
        Self::Files,
        Self::ManifestEnvelope,
        Self::ManifestSignature,
        Self::ManifestSubjects,
        Self::CheckpointSignature,
        Self::ManifestLog,
        Self::EntriesCanonical,
        Self::Inclusion,
        Self::BatchSignature,
        Self::BatchMembership,
        Self::StreamOrder,
        Self::RunMembers,
        Self::RunComplete,
        Self::Outcomes,
        Self::Gaps,
        Self::Switches,
        Self::Summary,
        Self::SpecText,
    ];

    /// The stable name used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Files => "files",
            Self::ManifestEnvelope => "manifest-envelope",
            Self::ManifestSignature => "manifest-signature",
            Self::ManifestSubjects => "manifest-subjects",
            Self::CheckpointSignature => "checkpoint-signature",
            Self::ManifestLog => "manifest-log",
            Self::EntriesCanonical => "entries-canonical",
            Self::Inclusion => "inclusion",
            Self::BatchSignature => "batch-signature",
            Self::BatchMembership => "batch-membership",
            Self::StreamOrder => "stream-order",
            Self::RunMembers => "run-members",
            Self::RunComplete => "run-complete",
            Self::Outcomes => "outcomes",
            Self::Gaps => "gaps",
            Self::Switches => "switches",
            Self::Summary => "summary",
            Self::SpecText => "spec-text",
        }
    }

    /// What it proves when it holds, and where that ends.
    pub fn proves(self) -> &'static str {
        match self {
            Self::Container => {
                "not one byte of the zip was changed, added or hidden: rebuilt from names and contents it is the same file"
            }
            Self::Files => "exactly the six files of a bundle are inside, each once",
            Self::ManifestEnvelope => {
                "the manifest can be read in one way only: canonical JSON, canonical base64, exactly one signature"
            }
            Self::ManifestSignature => "a recorder whose key stands in the trust file signed this manifest",
            Self::ManifestSubjects => {
                "every other file is the one that the recorder signed, by SHA-256 and by BLAKE3"
            }
            Self::CheckpointSignature => {
                "the log whose key stands in the trust file signed its size and root"
            }
            Self::ManifestLog => "the manifest speaks of that very log, size and root",
            Self::EntriesCanonical => {
                "every entry is the one canonical spelling of a known kind, with the fields of that kind"
            }
            Self::Inclusion => "every entry is in the log at its index",
            Self::BatchSignature => {
                "a gateway whose key stands in the trust file signed every batch; the recorder could not invent one"
            }
            Self::BatchMembership => {
                "every entry is in its gateway's batch at its seq; the recorder could not alter or swap one"
            }
            Self::StreamOrder => {
                "entries stand in the log in the order in which their gateway numbered them, no seq twice"
            }
            Self::RunMembers => {
                "every entry shown is of this run, or is context that the spec asks for, and nothing else is shown"
            }
            Self::RunComplete => {
                "no receipt of the run up to its last close is missing; it cannot see a run that was opened again after that"
            }
            Self::Outcomes => "every statement announced before it ran has its outcome",
            Self::Gaps => "no gateway of the run reported lost entries while the run went on",
            Self::Switches => {
                "no turn of the kill switch is missing between those shown, and whoever raised it did not release it alone; signatures of operators whose keys stand in the trust file hold"
            }
            Self::Summary => {
                "counts, verdicts, streams, policies and closed in the manifest are what the entries add up to"
            }
            Self::SpecText => "the bundle carries the rules by which a stranger can check it",
        }
    }
}
