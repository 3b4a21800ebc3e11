//! Where the transitions of a run go.

use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::sync::mpsc;

use super::error::SimulateError;
use super::truth::Truth;

/// Where the transitions of a run go.
#[derive(Clone, Debug, Default)]
pub enum TruthSink {
    /// They are counted only.
    #[default]
    Nowhere,
    /// JSON lines; an existing file is replaced.
    File(PathBuf),
    /// To a receiver in this process; it is not an error if that is gone.
    Channel(mpsc::UnboundedSender<Truth>),
}

/// The same, open.
pub(super) enum Sink {
    Nowhere,
    File(PathBuf, BufWriter<File>),
    Channel(mpsc::UnboundedSender<Truth>),
}

impl Sink {
    pub(super) async fn open(sink: &TruthSink) -> Result<Self, SimulateError> {
        Ok(match sink {
            TruthSink::Nowhere => Self::Nowhere,
            TruthSink::Channel(sender) => Self::Channel(sender.clone()),
            TruthSink::File(path) => {
                let file = File::create(path).await.map_err(failed(path))?;
                Self::File(path.clone(), BufWriter::new(file))
            }
        })
    }

    pub(super) async fn put(&mut self, truth: Vec<Truth>) -> Result<(), SimulateError> {
        match self {
            Self::Nowhere => {}
            Self::Channel(sender) => truth.into_iter().for_each(|truth| drop(sender.send(truth))),
            Self::File(path, file) => {
                for truth in truth {
                    let mut line = serde_json::to_vec(&truth).map_err(|error| failed(path)(error.into()))?;
                    line.push(b'\n');
                    file.write_all(&line).await.map_err(failed(path))?;
                }
            }
        }
        Ok(())
    }

    pub(super) async fn finish(self) -> Result<(), SimulateError> {
        if let Self::File(path, mut file) = self {
            file.flush().await.map_err(failed(&path))?;
        }
        Ok(())
    }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> SimulateError {
    move |source| SimulateError::TruthFile { path: path.to_owned(), source }
}
