//! The protocol's side: who we are, which tools there are, and the way of a call to its tool.

use rmcp::model::{
    CacheScope, CallToolRequestMethod, CallToolRequestParams, CallToolResponse, ConstString,
    CustomRequest, CustomResult, ErrorCode, ErrorData, Implementation, ListToolsResult,
    PaginatedRequestParams, ProtocolVersion, ServerCapabilities, ServerConfig, Tool,
    ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use std::sync::Arc;
use tokio::sync::Semaphore;

use super::arguments::{Arguments, input_schema};
use super::present::{Trouble, result};
use super::project::Project;
use super::tools::{self, Call, Effect};

/// Prompts and allow-lists name the tools `mcp__features__…`.
const NAME: &str = "features";
const INSTRUCTIONS: &str = "\
The backlog of this project. To get work, call feature_claim_next, or pick an id from \
feature_get_ready and call feature_claim_and_get; build it, check it, then call \
feature_mark_passing. If you stop before it is done, call feature_clear_in_progress so that others \
can take it. feature_explain says why a feature cannot be taken. A result with the key `error` means \
that nothing was changed; where `retryable` is true, the same call may work later. If a call brings \
no answer at all, send it again with the same request_id: it is carried out once.";

/// Calls that may be under way at once; whoever comes then is told to try again.
const CALLS: usize = 1024;
/// The list of tools changes only with a new release.
const LIST_FRESH_MS: u64 = 3_600_000;

/// Serves one connection.
#[derive(Debug)]
pub(super) struct Server {
    project: Arc<Project>,
    calls: Semaphore,
}

impl Server {
    pub(super) fn new(project: Arc<Project>) -> Self {
        Self { project, calls: Semaphore::new(CALLS) }
    }

    async fn call(&self, request: CallToolRequestParams, client: Option<&str>) -> tools::Outcome {
        let name = &request.name;
        let tool = tools::find(name).ok_or_else(|| Trouble::unknown_tool(name))?;
        let _place = self.calls.try_acquire().map_err(|_| Trouble::overloaded(CALLS))?;
        self.project.agent().introduce(client).await;
        let arguments = Arguments::new(request.arguments.unwrap_or_default());
        (tool.handler)(Call::new(arguments, Arc::clone(&self.project))).await
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let version = env!("CARGO_PKG_VERSION");
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(NAME, version).with_title("Feature backlog"))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let list = ListToolsResult::with_all_items(tools::all().map(described).collect());
        // Older revisions know no such hints.
        let knows_hints =
            context.protocol_version().is_some_and(|v| v >= ProtocolVersion::V_2026_07_28);
        Ok(if knows_hints {
            list.with_ttl_ms(LIST_FRESH_MS).with_cache_scope(CacheScope::Public)
        } else {
            list
        })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let client = context.client_info().map(|client| client.name);
        tokio::select! {
            biased;
            // Leaving drops the call, which withdraws a command that has not started.
            () = context.ct.cancelled() => {
                Err(ErrorData::internal_error("the call was withdrawn before it was done", None))
            }
            outcome = self.call(request, client.as_deref()) => Ok(result(outcome).into()),
        }
    }

    /// A request with a known method arrives here too where its parameters have the wrong shape.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        if request.method == CallToolRequestMethod::VALUE {
            let problem = "tools/call needs `name`, which is text, and may have `arguments`, which \
                           is an object";
            return Err(ErrorData::invalid_params(problem, None));
        }
        Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None))
    }
}

fn described(tool: &tools::Tool) -> Tool {
    let schema = input_schema(tool.parameters);
    let mut described =
        Tool::new(tool.name, tool.description, Arc::new(schema)).with_title(tool.title);
    described.output_schema = tool.output.map(|output| Arc::new(output()));
    described.with_annotations(
        ToolAnnotations::with_title(tool.title)
            .read_only(tool.effect == Effect::Read)
            .destructive(tool.effect == Effect::Destroy)
            .idempotent(matches!(tool.effect, Effect::Read | Effect::WriteOnce))
            .open_world(false),
    )
}
