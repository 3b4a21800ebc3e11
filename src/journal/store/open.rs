//! Opening: the lock, the file, its checks, and what happens when they fail.
//!
//! Whatever the directory holds, there is a store in the end, and [`Incident`]s say what was lost; only another process and a
//! newer file prevent it. The order: lock; the file's first bytes; SQLite's checks; the schema; rows of the small tables; the
//! count of commits; a commit, which shows whether the disk takes one. Only damage sets a file aside. One that is busy, or
//! that a full or failing disk does not let us read, may be intact: it stays where it is, and the store is in memory.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use crate::telemetry::targets::JOURNAL;
use crate::time::Timestamp;

use super::database::{BUSY, Hurry, LogPages, Store, StoreLocation};
use super::error::{Incident, OpenError, StoreError};
use super::lock::{CommitCount, Lock, LockError};
use super::mapping::{self, Legacy};
use super::rows::IntegrationRow;
use super::schema::{self, STEPS};
use super::{DATABASE, StoreSettings, Sync, meta, place, quarantine};

/// A store, and what happened on the way.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// To be reported.
    pub incidents: Vec<Incident>,
}

/// Opens the store in the directory of `settings`, which is created when missing.
///
/// # Errors
/// [`OpenError::Locked`] while another process has it, [`OpenError::Newer`] for a file of a newer program,
/// [`OpenError::NotOurs`] where the directory cannot be created or is not ours.
pub fn open(settings: &StoreSettings) -> Result<Opened, OpenError> {
    let directory = &settings.directory;
    let refused = |error: &io::Error| place::is_not_ours(error).then(|| place::not_ours(directory, error));
    if let Err(error) = place::make(directory) {
        return refused(&error).map_or_else(|| in_memory(settings, error.to_string()), Err);
    }
    let lock = match Lock::acquire(directory) {
        Ok(lock) => lock,
        Err(LockError::Held { pid }) => return Err(OpenError::Locked { directory: directory.clone(), pid }),
        Err(LockError::Io(error)) => {
            return refused(&error).map_or_else(|| in_memory(settings, error.to_string()), Err);
        }
    };
    let counted = lock.counted();
    let loaded = match damage(directory, counted) {
        Ok(None) => load(directory),
        Ok(Some(why)) => Err(Unusable::Damaged(why)),
        Err(error) => Err(Unusable::NotWritable(error.to_string())),
    };
    match loaded {
        Ok(connection) => in_directory(settings, lock, connection, Origin::Kept(counted), Vec::new()),
        Err(Unusable::Newer(newer)) => Err(newer.refused(directory)),
        Err(Unusable::Damaged(why)) => anew(settings, lock, &why),
        Err(Unusable::NotWritable(why)) => in_memory(settings, why),
    }
}

/// Opens a store in memory on purpose: nothing has gone wrong.
///
/// # Errors
/// [`OpenError::NoMemory`].
pub fn open_in_memory(settings: &StoreSettings) -> Result<Opened, OpenError> {
    Ok(Opened { incidents: Vec::new(), ..in_memory(settings, String::new())? })
}

/// Sets the file in the directory aside and begins a new one.
pub(super) fn anew(settings: &StoreSettings, lock: Lock, why: &str) -> Result<Opened, OpenError> {
    let directory = &settings.directory;
    let kept_as = match quarantine::database(directory) {
        Ok(kept_as) => kept_as,
        Err(error) => return in_memory(settings, format!("{why}; the file cannot be renamed: {error}")),
    };
    let incident = Incident::Quarantined { file: directory.join(DATABASE), kept_as, why: why.to_owned() };
    match load(directory) {
        Ok(connection) => in_directory(settings, lock, connection, Origin::Quarantined, vec![incident]),
        Err(Unusable::Newer(newer)) => Err(newer.refused(directory)),
        Err(Unusable::Damaged(why) | Unusable::NotWritable(why)) => with(in_memory(settings, why), vec![incident]),
    }
}

/// Opens a store in memory, for as long as the process lives.
pub(super) fn in_memory(settings: &StoreSettings, why: String) -> Result<Opened, OpenError> {
    let incident = Incident::NotWritable { directory: settings.directory.clone(), why };
    // Connections of this process share a database with such a name. SQLite bounds it to 1 GiB: beyond that it is full.
    let uri = format!("file:/rtalink-{}?vfs=memdb", process_unique());
    let made = Connection::open_with_flags(&uri, OpenFlags::default() | OpenFlags::SQLITE_OPEN_URI)
        .map_err(StoreError::from)
        .and_then(|mut connection| {
            connection.busy_timeout(BUSY)?;
            schema::migrate(&mut connection, STEPS)?;
            Ok(connection)
        })
        .and_then(|connection| {
            let place = StoreLocation::Memory { uri, settings: settings.clone() };
            Ok(begin(connection, place, Origin::Quarantined, &Legacy::read(&settings.directory))?.0)
        });
    match made {
        Ok(store) => Ok(Opened { store, incidents: vec![incident] }),
        // No file is involved: only a lack of memory does that, which ends the process anyway.
        Err(error) => Err(OpenError::NoMemory(error)),
    }
}

impl Store {
    /// Called for damage that is found while rows are read: sets the file aside, as opening would have, and opens a new one.
    /// The lock is held throughout. A store in memory is replaced by an empty one.
    ///
    /// # Errors
    /// Those of [`open`]; in practice none.
    pub fn quarantine_and_open(self, why: &str) -> Result<Opened, OpenError> {
        let Self { connection, place, .. } = self;
        drop(connection);
        match place {
            StoreLocation::Directory { settings, lock } => anew(&settings, lock, why),
            StoreLocation::Memory { settings, .. } => in_memory(&settings, why.to_owned()),
        }
    }

    /// Called for rows that cannot be read although nothing says that they are damaged: leaves the file as it is, and opens a
    /// store in memory.
    ///
    /// # Errors
    /// Those of [`open`]; in practice none.
    pub fn leave_and_open_in_memory(self, why: &str) -> Result<Opened, OpenError> {
        let Self { connection, place, .. } = self;
        drop(connection);
        let (StoreLocation::Directory { settings, .. } | StoreLocation::Memory { settings, .. }) = place;
        in_memory(&settings, why.to_owned())
    }
}

/// Where the content of a connection comes from.
enum Origin {
    /// From the file that was there; the lock file had counted this.
    Kept(Option<CommitCount>),
    /// There was one, and it is gone.
    Quarantined,
}

enum Unusable {
    Damaged(String),
    NotWritable(String),
    Newer(Newer),
}

/// What a newer program wrote.
enum Newer {
    /// Its tables, by their version.
    Tables(i64),
    /// Our tables, with contents that this program does not know.
    Contents { program: String, format: u32 },
}

impl Newer {
    fn refused(self, directory: &Path) -> OpenError {
        let file = directory.join(DATABASE);
        match self {
            Self::Tables(found) => OpenError::Newer { file, found, known: schema::version() },
            Self::Contents { program, format } => {
                OpenError::NewerContents { file, program, found: format, known: schema::FORMAT }
            }
        }
    }
}

impl From<StoreError> for Unusable {
    fn from(error: StoreError) -> Self {
        let why = error.detail().to_owned();
        match error {
            // SQLite understands every statement here, unless the file is damaged.
            StoreError::Corrupt(_) | StoreError::Other(_) => Self::Damaged(why),
            // A full disk may look like a failing one; the file may be intact and stays where it is.
            StoreError::Full(_)
            | StoreError::NotWritable(_)
            | StoreError::Io(_)
            | StoreError::Busy(_)
            | StoreError::NoMemory(_) => Self::NotWritable(why),
        }
    }
}

impl From<rusqlite::Error> for Unusable {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::from(error).into()
    }
}

fn with(opened: Result<Opened, OpenError>, mut before: Vec<Incident>) -> Result<Opened, OpenError> {
    opened.map(|Opened { store, incidents }| {
        before.extend(incidents);
        Opened { store, incidents: before }
    })
}

/// Finds what SQLite would not call damage, but would silently replace by an empty database.
///
/// # Errors
/// When the file cannot be read, which says nothing about its content.
pub(super) fn damage(directory: &Path, counted: Option<CommitCount>) -> io::Result<Option<String>> {
    let damaged = |why: &str| Ok(Some(why.to_owned()));
    let mut header = Vec::new();
    match File::open(directory.join(DATABASE)).and_then(|file| file.take(100).read_to_end(&mut header)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let wal = directory.join(format!("{DATABASE}-wal"));
            let has_wal = wal.metadata().is_ok_and(|found| found.len() > 0);
            return if has_wal { damaged("only its -wal is there") } else { Ok(None) };
        }
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => return damaged("it is a directory"),
        Err(error) => return Err(error),
    }
    if header.is_empty() {
        // So is a file whose creation was interrupted; but that one has never had a commit.
        return if counted.is_some() { damaged("it is empty") } else { Ok(None) };
    }
    let Some((magic, application)) = header.get(..16).zip(header.get(68..72)) else {
        return damaged("it is too short for a database");
    };
    if magic != b"SQLite format 3\0" {
        return damaged("it is no SQLite database");
    }
    if application != schema::APPLICATION_ID.to_be_bytes().get(4..).unwrap_or_default() {
        return damaged("it is a database of another program");
    }
    // 1 and 2 are the only ones there are; SQLite takes others as read-only.
    if !header.get(18..20).is_some_and(|versions| versions.iter().all(|version| matches!(version, 1 | 2))) {
        return damaged("its format is unknown");
    }
    Ok(None)
}

/// Opens an intact file of this version, which is created when missing.
fn load(directory: &Path) -> Result<Connection, Unusable> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    place::make_private(&directory.join(DATABASE)).map_err(|error| Unusable::NotWritable(error.to_string()))?;
    let mut connection = Connection::open_with_flags(directory.join(DATABASE), flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    let found = schema::version_of(&connection)?;
    let is_made = found > 0;
    if is_made && let Some(newer) = newer_contents(&connection) {
        return Err(Unusable::Newer(newer));
    }
    if found > schema::version() {
        if schema::is_ours(&connection)? {
            return Err(Unusable::Damaged(format!("schema version {found}, with the tables of {}", schema::version())));
        }
        return Err(Unusable::Newer(Newer::Tables(found)));
    }
    if is_made {
        schema::check_tables(&connection, &STEPS[..usize::try_from(found).unwrap_or(STEPS.len())])?;
        schema::check_pages(&connection)?;
    }
    schema::migrate(&mut connection, STEPS)?;
    IntegrationRow::all(&connection)?;
    mapping::check(&connection)?;
    mapping::least_version(&connection)?;
    let is_begun = meta::get(&connection, meta::COMMITS)?.is_some();
    if is_begun {
        meta::require::<Uuid>(&connection, meta::ID)?;
        meta::require::<u64>(&connection, meta::COMMITS)?;
    } else if !IntegrationRow::all(&connection)?.is_empty() {
        return Err(Unusable::Damaged("table meta: commits is missing".to_owned()));
    }
    Ok(connection)
}

/// Returns the format of the file's contents, where that is newer than this program knows. Damage is found elsewhere.
fn newer_contents(connection: &Connection) -> Option<Newer> {
    let format: u32 = meta::get(connection, meta::FORMAT).ok()??.parse().ok()?;
    let program =
        || meta::get(connection, meta::PROGRAM).ok().flatten().unwrap_or_else(|| "of an unknown version".to_owned());
    (format > schema::FORMAT).then(|| Newer::Contents { program: program(), format })
}

fn in_directory(
    settings: &StoreSettings,
    lock: Lock,
    connection: Connection,
    origin: Origin,
    mut incidents: Vec<Incident>,
) -> Result<Opened, OpenError> {
    let directory = &settings.directory;
    let legacy = Legacy::read(directory);
    let place = StoreLocation::Directory { settings: settings.clone(), lock };
    let begun = configure(&connection, settings.sync).and_then(|()| begin(connection, place, origin, &legacy));
    let store = match begun {
        Ok((store, incident)) => {
            incidents.extend(incident);
            store
        }
        Err(error) => return with(in_memory(settings, error.detail().to_owned()), incidents),
    };
    match legacy.rename(directory) {
        Ok(incident) => incidents.extend(incident),
        // It is taken over again next time, which does no harm.
        Err(error) => {
            tracing::warn!(target: JOURNAL, %error, directory = %directory.display(), "the versions of mappings cannot be renamed")
        }
    }
    Ok(Opened { store, incidents })
}

fn configure(connection: &Connection, sync: Sync) -> Result<(), StoreError> {
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // A WAL that grew beyond this is cut when it begins anew.
    connection.query_row("PRAGMA journal_size_limit = 16777216", [], |_| Ok(()))?;
    let synchronous = match sync {
        Sync::Full => "FULL",
        Sync::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    Ok(())
}

/// Makes the first commit on a connection.
fn begin(
    mut connection: Connection,
    place: StoreLocation,
    origin: Origin,
    legacy: &Legacy,
) -> Result<(Store, Option<Incident>), StoreError> {
    let commits = match meta::get(&connection, meta::COMMITS)? {
        Some(_) => Some(meta::require(&connection, meta::COMMITS)?),
        None => None,
    };
    let id = match commits {
        Some(_) => meta::require(&connection, meta::ID)?,
        None => random_id(&connection)?,
    };
    let found = commits.unwrap_or(0);
    let (is_replaced, rolled_back) = match origin {
        Origin::Quarantined => (true, None),
        Origin::Kept(counted) => {
            // With no store there, any count is from one that is gone.
            let is_same = |counted: &CommitCount| commits.is_none() || counted.id == id;
            let expected = counted.filter(is_same).map(|counted| counted.commits).filter(|&commits| commits > found);
            (false, expected.map(|expected| Incident::RolledBack { found, expected }))
        }
    };
    let run = random_id(&connection)?;
    let log = LogPages::count(&mut connection)?;
    let mut store = Store { connection, place, id, run, commits: found, hurry: Hurry::default(), written: None, log };
    let now = Timestamp::now();
    store.transaction(|connection| {
        meta::set(connection, meta::ID, &id.to_string())?;
        meta::set(connection, meta::OPENED_AT, &now.to_string())?;
        meta::set(connection, meta::FORMAT, &schema::FORMAT.to_string())?;
        meta::set(connection, meta::PROGRAM, env!("CARGO_PKG_VERSION"))?;
        if is_replaced || rolled_back.is_some() {
            mapping::forget(connection, now)?;
        }
        if rolled_back.is_some() {
            for row in IntegrationRow::all(connection)? {
                IntegrationRow { recovered: false, ..row }.save(connection)?;
            }
        }
        legacy.take_over(connection, now)
    })?;
    Ok((store, rolled_back))
}

/// SQLite seeds its generator from the system's.
fn random_id(connection: &Connection) -> Result<Uuid, StoreError> {
    let bytes: [u8; 16] = connection.query_row("SELECT randomblob(16)", [], |row| row.get(0))?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

/// A number that no other store of this process has.
fn process_unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
