//! Which webhook reports of progress go to, and sending them while something else goes on.

use std::path::Path;

use super::exit::Failed;
use super::output::{Note, note};
use crate::{Delivered, Delivery, ProgressReport, Webhook};

/// The variable that names the webhook for AutoForge's programs.
pub(crate) const VARIABLE: &str = "PROGRESS_N8N_WEBHOOK_URL";

/// The webhook that an option names, or the environment; `None` where nobody names any.
pub(crate) fn webhook(named: Option<&str>) -> Result<Option<Webhook>, Failed> {
    let variable = || std::env::var(VARIABLE).ok().filter(|address| !address.is_empty());
    let address = named.map(str::to_owned).or_else(variable);
    let webhook = address.map(|address| Webhook::new(&address));
    webhook.transpose().map_err(|invalid| Failed::new("usage", invalid))
}

/// What the webhook is told the project is called.
pub(crate) fn project_name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Why a report did not arrive, or may not have.
pub(crate) fn problem(delivered: &Delivered) -> Option<String> {
    match delivered {
        Delivered::Accepted { .. } => None,
        Delivered::Refused { status } => Some(format!("it answered with status {status}")),
        Delivered::Failed { reason } => Some(reason.clone()),
    }
}

/// Sends reports, each on a thread of its own, so that a webhook which does not answer delays nobody.
#[derive(Debug)]
pub(crate) struct Notifier {
    webhook: Webhook,
    project: String,
    sent: Vec<Delivery>,
}

impl Notifier {
    pub(crate) fn new(webhook: Webhook, folder: &Path) -> Self {
        Self { webhook, project: project_name(folder), sent: Vec::new() }
    }

    pub(crate) fn send(&mut self, report: &ProgressReport) {
        match self.webhook.post(report.to_webhook_body(&self.project)) {
            Ok(delivery) => self.sent.push(delivery),
            Err(error) => self.warn(1, &error.to_string()),
        }
    }

    /// Waits for what is still under way, which is a matter of seconds, and tells what did not arrive.
    pub(crate) fn finish(mut self) {
        let sent = std::mem::take(&mut self.sent).into_iter();
        let problems: Vec<_> = sent.filter_map(|delivery| problem(&delivery.wait())).collect();
        if let Some(last) = problems.last() {
            self.warn(problems.len(), last);
        }
    }

    fn warn(&self, reports: usize, why: &str) {
        let text = format!("{reports} reports did not reach {}, the last: {why}", self.webhook);
        note(&Note::Warning(text));
    }
}
