//! What agents are made of: names, skills, places, reasons.

/// First names, some outside ASCII and one outside Latin 1.
pub(super) const FIRST_NAMES: [&str; 24] = [
    "Jörg",
    "Anna",
    "Zoë",
    "Mehmet",
    "Ayşe",
    "Søren",
    "Łukasz",
    "Chloé",
    "Bärbel",
    "Peter",
    "Aisha",
    "Tomáš",
    "Maria",
    "Günther",
    "İpek",
    "Olga",
    "Sean",
    "Sükrü",
    "Françoise",
    "Robert \"Bob\"",
    "Björk",
    "Iñaki",
    "Katharina",
    "Ali",
];

/// Last names, one with a comma, one with an apostrophe.
pub(super) const LAST_NAMES: [&str; 24] = [
    "Müßig",
    "Schmidt",
    "Öztürk",
    "Yılmaz",
    "O'Brien",
    "Nguyễn",
    "Šebek",
    "Großmann",
    "García Márquez",
    "Kowalski",
    "Løvås",
    "Dupont",
    "Smith, Jr.",
    "Jäger",
    "Şimşek",
    "Novák",
    "van der Berg",
    "Weiß",
    "Rossi",
    "Ünal",
    "Petersen",
    "Çelik",
    "Lefèvre",
    "König-Straßer",
];

/// Skill numbers of the centre.
pub(super) const SKILLS: [u32; 24] = [
    232, 101, 102, 103, 110, 120, 121, 150, 200, 201, 202, 210, 233, 240, 301, 302, 310, 400, 415, 500, 512, 777, 901,
    1999,
];

/// Levels that CMS spells for reserve skills.
pub(super) const RESERVE_LEVELS: [u16; 2] = [51, 52];

/// Where agents sit.
pub(super) const LOCATIONS: [&str; 5] = ["Berlin", "Köln", "Leipzig 2", "Wien", "Home"];

/// Roles of an agent in a skill, in the words of CMS.
pub(super) const ROLES: [&str; 4] = ["TOP", "BACKUP", "RESERVE", "ROVING"];

/// A reason for auxiliary work.
pub(super) struct AuxReason {
    /// Its number.
    pub(super) reason: u32,
    /// How long it lasts on average, in seconds.
    pub(super) mean: f64,
    /// Its weight in the choice, relative to all weights.
    pub(super) weight: u32,
    /// Whether it is a break, for which centres may ask for a log-out.
    pub(super) is_break: bool,
}

const fn reason(reason: u32, mean: f64, weight: u32, is_break: bool) -> AuxReason {
    AuxReason { reason, mean, weight, is_break }
}

/// Break, lunch, training, meeting, coaching, back office, technical problem, project, personal.
pub(super) const AUX_REASONS: [AuxReason; 9] = [
    reason(1, 600.0, 30, true),
    reason(2, 1_800.0, 10, true),
    reason(3, 2_700.0, 4, false),
    reason(4, 1_800.0, 6, false),
    reason(5, 1_200.0, 6, false),
    reason(6, 900.0, 18, false),
    reason(7, 300.0, 6, false),
    reason(8, 1_500.0, 5, false),
    reason(9, 180.0, 15, true),
];
