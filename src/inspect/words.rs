//! Words that reports use for states, directions and titles of columns, in the languages of many centres.
//!
//! A word is weak evidence: it says what somebody once called something. What is read here is always marked as a guess.

use crate::wire::column::Column;
use crate::wire::states::{Direction, Mode, StateCode};

/// Beginnings of words for modes, in lower case. The first that fits counts, so the longer ones come first.
const MODES: [(Mode, &[&str]); 11] = [
    (Mode::Dacw, &["dacw", "direct acw", "direct wrap", "after direct", "direktnacharbeit"]),
    (Mode::Dacd, &["dacd", "direct", "direkt", "appel direct", "llamada directa"]),
    (
        Mode::Acw,
        &[
            "acw",
            "after call",
            "after-call",
            "aftercall",
            "wrap",
            "nacharbeit",
            "nachbearbeit",
            "post llamada",
            "post-llamada",
            "apres appel",
            "après appel",
            "post-appel",
            "nawerk",
            "çağrı sonrası",
            "cagri sonrasi",
            "efterarbe",
            "efterbehandling",
            "post chiamata",
            "pós-atendimento",
            "trabajo posterior",
            "dopo chiamata",
        ],
    ),
    (
        Mode::Unstaff,
        &[
            "unstaff",
            "logged out",
            "logged off",
            "logout",
            "log out",
            "loggedout",
            "abgemeldet",
            "offline",
            "déconnect",
            "desconect",
            "disconness",
            "uitgelogd",
            "afgemeld",
            "çıkış",
            "wylogowan",
            "utloggad",
            "logget af",
        ],
    ),
    (
        Mode::Aux,
        &[
            "aux",
            "pause",
            "paus",
            "break",
            "not ready",
            "notready",
            "nicht bereit",
            "unavailable",
            "lunch",
            "mittag",
            "schulung",
            "training",
            "meeting",
            "besprechung",
            "descanso",
            "reunión",
            "przerwa",
            "mola",
            "rast",
            "coaching",
            "pauza",
            "indispon",
            "non disponib",
        ],
    ),
    (
        Mode::Ring,
        &[
            "ring",
            "alert",
            "klingel",
            "ruft",
            "rufend",
            "läut",
            "sonnerie",
            "sonne",
            "sonando",
            "timbr",
            "squill",
            "çal",
            "dzwon",
            "gaat over",
        ],
    ),
    (
        Mode::Avail,
        &[
            "avail",
            "ready",
            "idle",
            "free",
            "waiting",
            "frei",
            "verfügbar",
            "verfuegbar",
            "bereit",
            "dispon",
            "libre",
            "libero",
            "beschikbaar",
            "vrij",
            "dostęp",
            "hazır",
            "müsait",
            "uygun",
            "ledig",
            "tilgæng",
            "dostup",
            "voln",
            "livre",
            "wolny",
        ],
    ),
    (
        Mode::Acd,
        &[
            "acd",
            "talk",
            "on call",
            "oncall",
            "in call",
            "call",
            "busy",
            "gespräch",
            "gespraech",
            "im gespräch",
            "telefon",
            "llamada",
            "en llamada",
            "en appel",
            "appel",
            "conversation",
            "en ligne",
            "gesprek",
            "in gesprek",
            "görüşme",
            "rozmow",
            "samtal",
            "chiamata",
            "em chamada",
            "çağrıda",
            "besetzt",
        ],
    ),
    (Mode::Unknown, &["unknown", "unbekannt", "inconnu", "desconocid", "bilinmeyen"]),
    (Mode::Logon, &["logon", "log on", "login", "logging in"]),
    (Mode::Other, &["other", "sonstig", "ander", "autre", "otro", "altro", "overig", "diğer", "inne"]),
];

const IN: [&str; 12] = [
    "in",
    "inbound",
    "incoming",
    "ein",
    "eing",
    "eingehend",
    "rein",
    "entrant",
    "entrante",
    "inkommande",
    "gelen",
    "i",
];
const OUT: [&str; 12] =
    ["out", "outbound", "outgoing", "aus", "ausg", "ausgehend", "raus", "sortant", "saliente", "uit", "giden", "o"];
const NONE: [&str; 9] = ["none", "keine", "kein", "no", "aucun", "aucune", "ninguna", "yok", "geen"];

/// Titles of columns, in lower case; the first column with a word that the title contains is meant.
const TITLES: [(Column, &[&str]); 16] = [
    (Column::LogoutReason, &["logout reason", "log-out reason", "abmeldegrund"]),
    (Column::AuxReason, &["aux", "reason", "grund", "motif", "motivo"]),
    (Column::StateStart, &["since", "state start", "seit", "start", "depuis", "desde"]),
    (Column::Duration, &["time in", "duration", "dauer", "durée", "elapsed", "süre", "duración"]),
    (Column::LoginId, &["login", "agent id", "agentid", "agent no", "kennung", "user id", "identifiant", "anmelde"]),
    (Column::Name, &["name", "nom", "nombre", "isim"]),
    (Column::WorkSplit, &["work", "call split", "split"]),
    (Column::Direction, &["direction", "richtung", "dir", "sens", "sentido"]),
    (Column::Extension, &["ext", "nebenstelle", "station", "durchwahl", "poste", "dahili"]),
    (Column::Timestamp, &["timestamp", "time", "zeit", "uhrzeit", "heure", "datum", "date", "hora"]),
    (Column::State, &["state", "status", "mode", "zustand", "état", "estado", "durum"]),
    (Column::OnHold, &["hold", "gehalten"]),
    (Column::Acd, &["acd"]),
    (Column::Role, &["role", "rolle", "rôle", "rol"]),
    (Column::Location, &["location", "standort", "site", "ort", "lieu", "lugar", "yer"]),
    (Column::Level, &["level", "stufe", "niveau"]),
];

/// Returns what a site's word for a state most likely stands for.
pub(super) fn state(word: &str) -> Option<StateCode> {
    let lower = word.trim().to_lowercase().replace(['_', '-', '.'], " ");
    let lower = lower.trim();
    if lower.chars().count() < 2 || lower.chars().all(|letter| letter.is_ascii_digit()) {
        return None;
    }
    let none = StateCode { mode: Mode::Other, direction: Direction::None, on_hold: false, aux_reason: None };
    if ["hold", "held", "gehalten", "halten", "en attente", "en espera", "wacht"]
        .iter()
        .any(|hold| lower.contains(hold))
    {
        return Some(StateCode { on_hold: true, ..none });
    }
    let begins = |begin: &&str| {
        let begin = begin.replace('-', " ");
        lower.starts_with(&begin) || lower.split(' ').any(|part| part.starts_with(&begin) && begin.len() > 3)
    };
    let (mode, _) = MODES.iter().find(|(_, words)| words.iter().any(&begins))?;
    let parts: Vec<&str> = lower.split([' ', ':', '/', ',', '(', ')']).collect();
    let has = |words: &[&str]| parts.iter().any(|part| part.len() > 1 && words.contains(part));
    let direction = match mode {
        Mode::Acd | Mode::Acw | Mode::Aux | Mode::Dacd | Mode::Dacw if has(&OUT) => Direction::Out,
        Mode::Acd | Mode::Acw | Mode::Aux | Mode::Dacd | Mode::Dacw if has(&IN) => Direction::In,
        _ => Direction::None,
    };
    Some(StateCode { mode: *mode, direction, ..none })
}

/// Returns what a word for a direction stands for, built-in spellings included.
pub(super) fn direction(word: &str) -> Option<Direction> {
    let lower = word.trim().to_lowercase();
    let has = |words: &[&str]| words.contains(&lower.as_str());
    match lower.as_str() {
        "0" => Some(Direction::None),
        "1" => Some(Direction::Out),
        "2" => Some(Direction::In),
        _ if has(&IN) => Some(Direction::In),
        _ if has(&OUT) => Some(Direction::Out),
        _ => has(&NONE).then_some(Direction::None),
    }
}

/// Returns the column that a title names.
pub(super) fn title(text: &str) -> Option<Column> {
    let lower = text.trim().trim_matches('"').to_lowercase().replace(['_', '-'], " ");
    if lower.is_empty() || lower.chars().any(|letter| letter.is_ascii_digit()) {
        return None;
    }
    if lower == "skill" {
        return Some(Column::Skill);
    }
    let matches = |words: &&[&str]| words.iter().any(|word| lower.contains(&word.replace('-', " ")));
    TITLES.iter().find(|(_, words)| matches(words)).map(|(column, _)| *column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_states_are_understood() {
        let cases = [
            ("Frei", Some((Mode::Avail, Direction::None))),
            ("Im Gespräch", Some((Mode::Acd, Direction::None))),
            ("ACD IN", Some((Mode::Acd, Direction::In))),
            ("AUX out", Some((Mode::Aux, Direction::Out))),
            ("Wrap-up", Some((Mode::Acw, Direction::None))),
            ("Not Ready", Some((Mode::Aux, Direction::None))),
            ("Klingelt", Some((Mode::Ring, Direction::None))),
            ("logged_out", Some((Mode::Unstaff, Direction::None))),
            ("17", None),
            ("Zxq", None),
        ];
        for (word, expected) in cases {
            assert_eq!(state(word).map(|code| (code.mode, code.direction)), expected, "{word}");
        }
    }

    #[test]
    fn titles_name_columns() {
        let cases = [
            ("Login ID", Some(Column::LoginId)),
            ("Agent Name", Some(Column::Name)),
            ("Time in State", Some(Column::Duration)),
            ("AUX Reason", Some(Column::AuxReason)),
            ("State", Some(Column::State)),
            ("301204", None),
        ];
        for (text, column) in cases {
            assert_eq!(title(text), column, "{text}");
        }
    }
}
