//! State tables of sites that have their own, drawn at random: words in some language, numbers, letters.

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::wire::encoding::Encoding;
use crate::wire::layout::{Column, FieldStyle};
use crate::wire::states::{Direction, Mode, StateCode, StateTable};
use crate::wire::words::Words;

use super::random_layout::{direction_words, table};

/// A site's own words.
pub(super) struct OwnStates {
    pub(super) table: StateTable,
    pub(super) aux_reasons: Words<u32>,
    pub(super) directions: Words<Direction>,
}

/// Names of modes in one language.
struct Language {
    avail: &'static str,
    acd: &'static str,
    acw: &'static str,
    aux: &'static str,
    aux_out: &'static str,
    aux_hold: &'static str,
    ring: &'static str,
    other: &'static str,
    dacd: &'static str,
    dacw: &'static str,
    unstaff: &'static str,
    reasons: [&'static str; 9],
    directions: [&'static str; 2],
}

const LANGUAGES: [Language; 5] = [
    Language {
        avail: "Frei",
        acd: "Gespräch",
        acw: "Nacharbeit",
        aux: "Nicht bereit",
        aux_out: "Abgehend",
        aux_hold: "Rückfrage",
        ring: "Klingelt",
        other: "Sonstiges",
        dacd: "Direktruf",
        dacw: "Direktnacharbeit",
        unstaff: "Abgemeldet",
        reasons: [
            "Pause",
            "Mittag",
            "Schulung",
            "Besprechung",
            "Coaching",
            "Backoffice",
            "Störung",
            "Projekt",
            "Persönlich",
        ],
        directions: ["ein", "aus"],
    },
    Language {
        avail: "Ready",
        acd: "On Call",
        acw: "Wrap-up",
        aux: "Not Ready",
        aux_out: "Dialling out",
        aux_hold: "Consult",
        ring: "Alerting",
        other: "Misc",
        dacd: "Direct Call",
        dacw: "Direct Wrap",
        unstaff: "Logged Off",
        reasons: [
            "Break",
            "Lunch",
            "Training",
            "Meeting",
            "Coaching",
            "Back office",
            "Technical",
            "Project",
            "Personal",
        ],
        directions: ["inbound", "outbound"],
    },
    Language {
        avail: "Disponible",
        acd: "En ligne",
        acw: "Après appel",
        aux: "Retrait",
        aux_out: "Appel sortant",
        aux_hold: "Consultation",
        ring: "Sonnerie",
        other: "Divers",
        dacd: "Ligne directe",
        dacw: "Suite directe",
        unstaff: "Déconnecté",
        reasons: ["Pause", "Déjeuner", "Formation", "Réunion", "Tutorat", "Dossiers", "Panne", "Projet", "Personnel"],
        directions: ["entrant", "sortant"],
    },
    Language {
        avail: "Libre",
        acd: "En llamada",
        acw: "Trabajo posterior",
        aux: "Auxiliar",
        aux_out: "Saliente",
        aux_hold: "Consulta",
        ring: "Sonando",
        other: "Otros",
        dacd: "Llamada directa",
        dacw: "Posterior directa",
        unstaff: "Desconectado",
        reasons: ["Descanso", "Comida", "Formación", "Reunión", "Tutoría", "Gestión", "Avería", "Proyecto", "Personal"],
        directions: ["entrante", "saliente"],
    },
    Language {
        avail: "Hazır",
        acd: "Görüşmede",
        acw: "Çağrı sonrası",
        aux: "Mola",
        aux_out: "Dış arama",
        aux_hold: "Danışma",
        ring: "Çalıyor",
        other: "Diğer",
        dacd: "Doğrudan",
        dacw: "Doğrudan sonrası",
        unstaff: "Çıkış",
        reasons: ["Çay", "Öğle", "Eğitim", "Toplantı", "Koçluk", "Ofis", "Arıza", "Proje", "Kişisel"],
        directions: ["gelen", "giden"],
    },
];

/// How a site spells its states.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Words,
    Numbers,
    Letters,
}

/// Draws a table. Where the state says the AUX reason itself, the column of reasons is taken out of `columns`.
pub(super) fn draw(
    rng: &mut ChaCha8Rng,
    encoding: Encoding,
    fields: FieldStyle,
    columns: &mut Vec<Column>,
) -> OwnStates {
    let readable: Vec<&Language> = LANGUAGES.iter().filter(|language| can_be_written(language, encoding)).collect();
    let Some(language) = readable.choose(rng).copied().or(LANGUAGES.get(1)) else {
        return OwnStates {
            table: StateTable::cms_names(),
            aux_reasons: Words::default(),
            directions: Words::default(),
        };
    };
    let spelling = match rng.random_range(0..100) {
        0..45 => Spelling::Words,
        45..80 => Spelling::Numbers,
        _ => Spelling::Letters,
    };
    let mut chance = |percent: u32| rng.random_range(0..100) < percent;
    let has_direction = columns.contains(&Column::Direction);
    let with_reasons = chance(30);
    let mut states: Vec<(&str, StateCode)> = Vec::new();
    let inward = if has_direction { Direction::None } else { Direction::In };
    let code = |mode, direction, on_hold, aux_reason| StateCode { mode, direction, on_hold, aux_reason };
    states.push((language.unstaff, code(Mode::Unstaff, Direction::None, false, None)));
    states.push((language.avail, code(Mode::Avail, Direction::None, false, None)));
    states.push((language.acd, code(Mode::Acd, inward, false, None)));
    states.push((language.acw, code(Mode::Acw, Direction::None, false, None)));
    if with_reasons {
        columns.retain(|column| *column != Column::AuxReason);
        states.push((language.aux, code(Mode::Aux, Direction::None, false, Some(0))));
        for (word, reason) in language.reasons.iter().zip(1..) {
            states.push((word, code(Mode::Aux, Direction::None, false, Some(reason))));
        }
    } else {
        states.push((language.aux, code(Mode::Aux, Direction::None, false, None)));
    }
    if !has_direction && chance(60) {
        states.push((language.aux_out, code(Mode::Aux, Direction::Out, false, None)));
        if chance(35) {
            states.push((language.aux_hold, code(Mode::Aux, Direction::Out, true, None)));
        }
    }
    if chance(70) {
        states.push((language.ring, code(Mode::Ring, Direction::None, false, None)));
    }
    if chance(60) {
        states.push((language.other, code(Mode::Other, Direction::None, false, None)));
    }
    if chance(40) {
        states.push((language.dacd, code(Mode::Dacd, inward, false, None)));
        states.push((language.dacw, code(Mode::Dacw, Direction::None, false, None)));
    }
    let words_for_reasons = !with_reasons && columns.contains(&Column::AuxReason) && chance(35);
    let words_for_directions = has_direction && chance(50);
    let fits = |word: &str| match fields {
        FieldStyle::Whitespace => word.replace(' ', "_"),
        _ => word.to_owned(),
    };
    let mut numbers: Vec<u32> = (1..=99).collect();
    numbers.shuffle(rng);
    let first_letter = rng.random_range(0..3_u8);
    let rows: Vec<(String, StateCode)> = states
        .into_iter()
        .zip(numbers)
        .enumerate()
        .map(|(index, ((word, code), number))| {
            let text = match spelling {
                Spelling::Words => fits(word),
                Spelling::Numbers => number.to_string(),
                Spelling::Letters => letters(first_letter, index),
            };
            (text, code)
        })
        .collect();
    let reasons = || Words::new(language.reasons.iter().zip(1..).map(|(word, reason)| (fits(word), reason)));
    OwnStates {
        table: table(&rows),
        aux_reasons: if words_for_reasons { reasons() } else { Words::default() },
        directions: if words_for_directions { direction_words(language.directions) } else { Words::default() },
    }
}

/// `A`, `B`; `S01`, `S02`; or `AA`, `AB`.
fn letters(form: u8, index: usize) -> String {
    let letter = |index: usize| char::from(b'A' + u8::try_from(index % 26).unwrap_or(0));
    match form {
        0 => letter(index).to_string(),
        1 => format!("S{:02}", index + 1),
        _ => format!("{}{}", letter(index / 4), letter(index % 4 + 4)),
    }
}

fn can_be_written(language: &Language, encoding: Encoding) -> bool {
    let words = [
        language.avail,
        language.acd,
        language.acw,
        language.aux,
        language.aux_out,
        language.aux_hold,
        language.ring,
        language.other,
        language.dacd,
        language.dacw,
        language.unstaff,
    ];
    words.iter().chain(&language.reasons).chain(&language.directions).all(|word| encoding.encode(word).is_ok())
}
