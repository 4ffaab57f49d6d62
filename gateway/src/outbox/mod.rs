//! Receipts from the data path to the recorder.
