//! Posting a report to a webhook, on a thread of its own and within limits of time.
//!
//! Part of the program: the library speaks no HTTP. Nothing here knows a database, so whoever waits for
//! a webhook holds no lock.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Error};

use crate::sync::{JoinHandle, spawn};

/// How long finding the host may take, and how long connecting to it.
const CONNECT: Duration = Duration::from_secs(3);
/// How long all of it may take.
const TOTAL: Duration = Duration::from_secs(5);

/// Where reports are posted. Its address is a secret like a password: it is never shown, but for the
/// host.
///
/// ```
/// use autoforge_store::Webhook;
/// let webhook = Webhook::new("https://hooks.example.com/webhook/5f3c")?;
/// assert_eq!(webhook.to_string(), "https://hooks.example.com");
/// assert!(Webhook::new("hooks.example.com").is_err());
/// # Ok::<(), autoforge_store::InvalidWebhook>(())
/// ```
#[derive(Clone)]
pub struct Webhook {
    address: Uri,
}

impl Webhook {
    /// Checks the address; connects to nothing.
    ///
    /// # Errors
    /// [`InvalidWebhook`] where it is none of `http` or `https` with a host.
    pub fn new(address: &str) -> Result<Self, InvalidWebhook> {
        let address: Uri = address.trim().parse().map_err(|_| InvalidWebhook)?;
        let known = matches!(address.scheme_str(), Some("http" | "https"));
        let host = address.host().is_some_and(|host| !host.is_empty());
        (known && host).then_some(Self { address }).ok_or(InvalidWebhook)
    }

    /// Starts a thread that posts this JSON once, and gives what will become of it. No call waits for
    /// the webhook but [`Delivery::wait`].
    ///
    /// Redirections are not followed. Proxies are those of the environment, trusted certificates those
    /// of the system.
    ///
    /// # Errors
    /// Where the system starts no thread.
    pub fn post(&self, json: String) -> io::Result<Delivery> {
        let address = self.address.clone();
        let thread = spawn("autoforge-webhook", move || post(&address, &json))?;
        Ok(Delivery { thread })
    }
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.address.scheme_str().unwrap_or("http"))?;
        f.write_str(self.address.host().unwrap_or_default())?;
        self.address.port_u16().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Webhook({self})")
    }
}

/// An address that is no webhook's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook's address begins with https:// or http:// and names a host")]
pub struct InvalidWebhook;

/// A report on its way. Dropping it leaves the thread alone, which ends within its limits of time.
#[derive(Debug)]
pub struct Delivery {
    thread: JoinHandle<Delivered>,
}

impl Delivery {
    /// Waits for the webhook's answer; 5 seconds at most, 3 of them for finding its host and for
    /// connecting to it each.
    #[must_use]
    pub fn wait(self) -> Delivered {
        let panicked = || Delivered::Failed { reason: "its thread panicked".to_owned() };
        self.thread.join().unwrap_or_else(|_| panicked())
    }
}

/// What became of a report. It is not sent again, whatever that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered {
    /// The webhook took it.
    Accepted {
        /// The HTTP status, 200 to 299.
        status: u16,
    },
    /// The webhook answered something else.
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// There was no answer. The report may have arrived all the same.
    Failed {
        /// What happened.
        reason: String,
    },
}

fn post(address: &Uri, json: &str) -> Delivered {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let agent: Agent = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(TOTAL))
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("autoforge-store/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    match agent.post(address).content_type("application/json").send(json) {
        Ok(response) if response.status().is_success() => {
            Delivered::Accepted { status: response.status().as_u16() }
        }
        Ok(response) => Delivered::Refused { status: response.status().as_u16() },
        Err(error) => Delivered::Failed { reason: reason(error) },
    }
}

/// In words that do not show the address.
fn reason(error: Error) -> String {
    match error {
        Error::Timeout(_) => "it did not answer in time".to_owned(),
        Error::HostNotFound => "its host was not found".to_owned(),
        Error::Io(error) => error.to_string(),
        Error::BadUri(_) | Error::Http(_) => "its address cannot be used".to_owned(),
        Error::ConnectionFailed => "connecting to it failed".to_owned(),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_checked_and_its_secret_parts_are_not_shown() {
        for (address, shown) in [
            (
                "https://user:secret@n8n.example.com:5678/webhook/secret?key=secret",
                "https://n8n.example.com:5678",
            ),
            (" http://localhost/secret ", "http://localhost"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
        ] {
            let webhook = Webhook::new(address).unwrap();
            assert_eq!(webhook.to_string(), shown);
            assert_eq!(format!("{webhook:?}"), format!("Webhook({shown})"));
        }
        for address in [
            "",
            "n8n.example.com/webhook",
            "ftp://example.com/",
            "https://",
            "/webhook",
            "https:// x/",
        ] {
            assert_eq!(Webhook::new(address).unwrap_err(), InvalidWebhook, "{address:?}");
        }
    }
}
