//! The states that a `features.db` can be in, each as the releases of its time declared it.

const OLDEST: &str = "
CREATE TABLE features (
	id INTEGER NOT NULL, 
	priority INTEGER NOT NULL, 
	category VARCHAR(100) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description TEXT NOT NULL, 
	steps JSON NOT NULL, 
	passes BOOLEAN, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_features_id ON features (id);
CREATE INDEX ix_features_priority ON features (priority);
CREATE INDEX ix_features_passes ON features (passes);
INSERT INTO features (id, priority, category, name, description, steps, passes) VALUES
    (1, 1, 'Auth', 'Log in', 'With a password.', '[\"Open\", \"Type\"]', 1),
    (2, 2, 'Auth', 'Log out', 'Anywhere.', '[]', 0),
    (5, 9, 'Shop', 'Pay \u{e9}', 'By card.', 'not json', 0);
";

const IN_PROGRESS: &str = "
CREATE TABLE features (
	id INTEGER NOT NULL, 
	priority INTEGER NOT NULL, 
	category VARCHAR(100) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description TEXT NOT NULL, 
	steps JSON NOT NULL, 
	passes BOOLEAN, 
	in_progress BOOLEAN, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_features_id ON features (id);
CREATE INDEX ix_features_in_progress ON features (in_progress);
CREATE INDEX ix_features_priority ON features (priority);
CREATE INDEX ix_features_passes ON features (passes);
INSERT INTO features VALUES
    (1, 1, 'Auth', 'Log in', 'With a password.', '[]', 1, 0),
    (2, 2, 'Auth', 'Log out', 'Anywhere.', '[]', 0, 1),
    (5, 9, 'Shop', 'Pay', 'By card.', '[]', 0, 0);
";

const IN_PROGRESS_ALTERED: &str = "
ALTER TABLE features ADD COLUMN in_progress BOOLEAN DEFAULT 0;
";

const DEPENDENCIES: &str = "
CREATE TABLE features (
	id INTEGER NOT NULL, 
	priority INTEGER NOT NULL, 
	category VARCHAR(100) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description TEXT NOT NULL, 
	steps JSON NOT NULL, 
	passes BOOLEAN NOT NULL, 
	in_progress BOOLEAN NOT NULL, 
	dependencies JSON, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_features_id ON features (id);
CREATE INDEX ix_features_priority ON features (priority);
CREATE INDEX ix_features_passes ON features (passes);
CREATE INDEX ix_features_in_progress ON features (in_progress);
INSERT INTO features VALUES
    (1, 1, 'Auth', 'Log in', 'With a password.', '[]', 1, 0, NULL),
    (2, 2, 'Auth', 'Log out', 'Anywhere.', '[]', 0, 1, '[1]'),
    (5, 9, 'Shop', 'Pay', 'By card.', '[]', 0, 0, 'null');
";

/// Made by the release that tested features, and gave it up: the column is required, and has no
/// default.
const TESTING: &str = "
CREATE TABLE features (
	id INTEGER NOT NULL, 
	priority INTEGER NOT NULL, 
	category VARCHAR(100) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description TEXT NOT NULL, 
	steps JSON NOT NULL, 
	passes BOOLEAN NOT NULL, 
	in_progress BOOLEAN NOT NULL, 
	dependencies JSON, 
	testing_in_progress BOOLEAN NOT NULL, 
	last_tested_at DATETIME, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_features_id ON features (id);
CREATE INDEX ix_features_testing_in_progress ON features (testing_in_progress);
CREATE INDEX ix_features_in_progress ON features (in_progress);
CREATE INDEX ix_features_passes ON features (passes);
CREATE INDEX ix_feature_status ON features (passes, in_progress);
CREATE INDEX ix_features_priority ON features (priority);
INSERT INTO features VALUES
    (1, 1, 'Auth', 'Log in', 'With a password.', '[]', 1, 0, NULL, 0, '2026-01-23 10:00:00.000000'),
    (2, 2, 'Auth', 'Log out', 'Anywhere.', '[]', 0, 1, '[1]', 1, NULL),
    (5, 9, 'Shop', 'Pay', 'By card.', '[]', 0, 0, '[1, 2]', 0, NULL);
";

const SCHEDULES_FIRST: &str = "
CREATE TABLE schedules (
	id INTEGER NOT NULL, 
	project_name VARCHAR(50) NOT NULL, 
	start_time VARCHAR(5) NOT NULL, 
	duration_minutes INTEGER NOT NULL, 
	days_of_week INTEGER NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	yolo_mode BOOLEAN NOT NULL, 
	model VARCHAR(50), 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_schedules_enabled ON schedules (enabled);
CREATE INDEX ix_schedules_id ON schedules (id);
CREATE INDEX ix_schedules_project_name ON schedules (project_name);
INSERT INTO schedules VALUES (1, 'shop', '22:30', 120, 127, 1, 0, NULL, '2026-01-15 09:00:00.000001');
";

const SCHEDULES_CRASH_COUNT: &str = "
CREATE TABLE schedules (
	id INTEGER NOT NULL, 
	project_name VARCHAR(50) NOT NULL, 
	start_time VARCHAR(5) NOT NULL, 
	duration_minutes INTEGER NOT NULL, 
	days_of_week INTEGER NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	yolo_mode BOOLEAN NOT NULL, 
	model VARCHAR(50), 
	crash_count INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_schedules_enabled ON schedules (enabled);
CREATE INDEX ix_schedules_id ON schedules (id);
CREATE INDEX ix_schedules_project_name ON schedules (project_name);
INSERT INTO schedules VALUES (1, 'shop', '22:30', 120, 127, 1, 0, 'opus', 2, '2026-01-15 09:00:00.000001');
";

const SCHEDULES: &str = "
CREATE TABLE schedules (
	id INTEGER NOT NULL, 
	project_name VARCHAR(50) NOT NULL, 
	start_time VARCHAR(5) NOT NULL, 
	duration_minutes INTEGER NOT NULL, 
	days_of_week INTEGER NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	yolo_mode BOOLEAN NOT NULL, 
	model VARCHAR(50), 
	max_concurrency INTEGER NOT NULL, 
	crash_count INTEGER NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT ck_schedule_duration CHECK (duration_minutes >= 1 AND duration_minutes <= 1440), 
	CONSTRAINT ck_schedule_days CHECK (days_of_week >= 0 AND days_of_week <= 127), 
	CONSTRAINT ck_schedule_concurrency CHECK (max_concurrency >= 1 AND max_concurrency <= 5), 
	CONSTRAINT ck_schedule_crash_count CHECK (crash_count >= 0)
);
CREATE INDEX ix_schedules_enabled ON schedules (enabled);
CREATE INDEX ix_schedules_project_name ON schedules (project_name);
CREATE INDEX ix_schedules_id ON schedules (id);
INSERT INTO schedules VALUES
    (1, 'shop', '22:30', 120, 127, 1, 0, NULL, 3, 0, '2026-02-08 09:00:00.000001');
";

const OVERRIDES: &str = "
CREATE TABLE schedule_overrides (
	id INTEGER NOT NULL, 
	schedule_id INTEGER NOT NULL, 
	override_type VARCHAR(10) NOT NULL, 
	expires_at DATETIME NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(schedule_id) REFERENCES schedules (id) ON DELETE CASCADE
);
CREATE INDEX ix_schedule_overrides_id ON schedule_overrides (id);
INSERT INTO schedule_overrides VALUES
    (1, 1, 'stop', '2026-01-15 10:00:00.000000', '2026-01-15 09:00:00.000000');
";

const CURRENT: &str = "
CREATE TABLE features (
	id INTEGER NOT NULL, 
	priority INTEGER NOT NULL, 
	category VARCHAR(100) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	description TEXT NOT NULL, 
	steps JSON NOT NULL, 
	passes BOOLEAN NOT NULL, 
	in_progress BOOLEAN NOT NULL, 
	dependencies JSON, 
	needs_human_input BOOLEAN NOT NULL, 
	human_input_request JSON, 
	human_input_response JSON, 
	PRIMARY KEY (id)
);
CREATE INDEX ix_features_passes ON features (passes);
CREATE INDEX ix_features_priority ON features (priority);
CREATE INDEX ix_features_needs_human_input ON features (needs_human_input);
CREATE INDEX ix_features_in_progress ON features (in_progress);
CREATE INDEX ix_features_id ON features (id);
CREATE INDEX ix_feature_status ON features (passes, in_progress, needs_human_input);
INSERT INTO features VALUES
    (1, 1, 'Auth', 'Log in', 'With a password.', '[]', 1, 0, NULL, 0, NULL, 'null'),
    (2, 2, 'Auth', 'Log out', 'Anywhere.', '[]', 0, 1, '[1]', 0, 'null', NULL),
    (5, 9, 'Shop', 'Pay', 'By card.', '[]', 0, 0, '[1, 2]', 1,
     '{\"prompt\": \"Which?\", \"fields\": [{\"id\": \"a\", \"label\": \"A\"}]}', NULL);
";

/// Made by the first release, then opened by a late one, then written to by hand.
const NULLS: &str = "
ALTER TABLE features ADD COLUMN in_progress BOOLEAN DEFAULT 0;
ALTER TABLE features ADD COLUMN dependencies TEXT DEFAULT NULL;
ALTER TABLE features ADD COLUMN needs_human_input BOOLEAN DEFAULT 0;
ALTER TABLE features ADD COLUMN human_input_request TEXT DEFAULT NULL;
ALTER TABLE features ADD COLUMN human_input_response TEXT DEFAULT NULL;
UPDATE features SET passes = NULL, in_progress = NULL WHERE id = 2;
UPDATE features SET needs_human_input = NULL WHERE id <> 1;
";

/// Every state, by a name that says what is old about it.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let wal = "PRAGMA journal_mode = WAL;";
    let of = |parts: &[&str]| parts.concat();
    vec![
        ("no in_progress", of(&[OLDEST])),
        ("in_progress of its own", of(&[IN_PROGRESS])),
        ("in_progress added later", of(&[OLDEST, IN_PROGRESS_ALTERED])),
        ("dependencies, no schedules", of(&[wal, DEPENDENCIES])),
        ("abandoned testing columns", of(&[wal, TESTING, SCHEDULES, OVERRIDES])),
        ("testing columns, no schedules", of(&[TESTING])),
        ("first schedules", of(&[wal, DEPENDENCIES, SCHEDULES_FIRST, OVERRIDES])),
        ("schedules with crash_count", of(&[wal, DEPENDENCIES, SCHEDULES_CRASH_COUNT, OVERRIDES])),
        ("oldest features, newest schedules", of(&[OLDEST, SCHEDULES, OVERRIDES])),
        ("schedules without overrides", of(&[IN_PROGRESS, SCHEDULES_FIRST])),
        ("no human input", of(&[wal, DEPENDENCIES, SCHEDULES, OVERRIDES])),
        ("current, no schedules", of(&[wal, CURRENT])),
        ("current", of(&[wal, CURRENT, SCHEDULES, OVERRIDES])),
        ("NULL flags", of(&[OLDEST, NULLS, SCHEDULES, OVERRIDES])),
        ("NULL flags, first schedules", of(&[wal, OLDEST, NULLS, SCHEDULES_FIRST])),
    ]
}

/// The state of this name.
pub(crate) fn named(name: &str) -> String {
    let state = all().into_iter().find(|(known, _)| *known == name);
    state.expect("no such state").1
}
