//! How large a value may be. Larger ones are refused with the limit named, never cut.

/// The bounds on what a store accepts.
///
/// They bound what callers hand in. What is already in a file is read whatever its size, up to
/// [`Limits::ROW_BYTES`].
///
/// ```
/// use autoforge_store::Limits;
/// assert_eq!(Limits::DEPENDENCIES, 20);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Limits;

impl Limits {
    /// Characters (Unicode scalar values) of a category.
    pub const CATEGORY_CHARS: usize = 100;
    /// Characters (Unicode scalar values) of a feature's name.
    pub const NAME_CHARS: usize = 255;
    /// Bytes of a description, and of a prompt to a human.
    pub const TEXT_BYTES: usize = 4 << 20;
    /// Bytes of all steps of one feature together.
    pub const STEPS_BYTES: usize = 4 << 20;
    /// Steps of one feature.
    pub const STEPS: usize = 10_000;
    /// Dependencies of one feature.
    pub const DEPENDENCIES: usize = 20;
    /// Features created by one command.
    pub const BULK: usize = 200_000;
    /// Input fields in one request to a human.
    pub const FIELDS: usize = 256;
    /// Bytes of the fields of one request, or of one answer, as JSON.
    pub const FIELDS_BYTES: usize = 1 << 20;
    /// Characters (Unicode scalar values) of the reason that an agent gives for what it does.
    pub const REASON_CHARS: usize = 1_000;
    /// Characters (Unicode scalar values) of a request id.
    pub const REQUEST_ID_CHARS: usize = 200;
    /// Bytes of an answer, as JSON, that is kept for a repetition of its request.
    pub const ANSWER_BYTES: usize = 63 << 20;
    /// Characters of a project's name.
    pub const PROJECT_NAME_CHARS: usize = 50;
    /// Bytes of one message in a conversation.
    pub const MESSAGE_BYTES: usize = 4 << 20;
    /// Characters (Unicode scalar values) of a conversation's title.
    pub const TITLE_CHARS: usize = 200;
    /// Characters (Unicode scalar values) of the project that a conversation is about.
    pub const CONVERSATION_PROJECT_CHARS: usize = 100;
    /// Bytes of a registered project's path.
    pub const PROJECT_PATH_BYTES: usize = 4096;
    /// Characters (Unicode scalar values) of a setting's key.
    pub const SETTING_KEY_CHARS: usize = 50;
    /// Characters (Unicode scalar values) of a setting's value.
    pub const SETTING_VALUE_CHARS: usize = 500;
    /// Schedules of one project.
    pub const SCHEDULES: usize = 50;
    /// Characters (Unicode scalar values) of a model's name.
    pub const MODEL_CHARS: usize = 50;
    /// Bytes of one row, or of one value in it, that `SQLite` may handle.
    pub const ROW_BYTES: i32 = 64 << 20;
}

const _: () = assert!(Limits::ANSWER_BYTES + (64 << 10) < Limits::ROW_BYTES as usize);
const _: () = assert!(3 * Limits::TEXT_BYTES + Limits::STEPS_BYTES < Limits::ROW_BYTES as usize);
