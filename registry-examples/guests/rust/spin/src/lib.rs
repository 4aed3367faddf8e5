//! Greets whoever asks, and passes on what is at the address that the header `x-ask` names.

use spin_sdk::{
    http::{IntoResponse, Request, Response, send},
    http_component,
};

#[http_component]
async fn handle(request: Request) -> anyhow::Result<impl IntoResponse> {
    let Some(address) = request.header("x-ask").and_then(|value| value.as_str()) else {
        let name = std::env::var("NAME").unwrap_or_else(|_| "Spin".to_owned());
        let text = format!("Hello from {name}: {} {}\n", request.method(), request.path());
        return Ok(Response::builder().status(200).header("content-type", "text/plain").body(text).build());
    };
    let got: Response = send(Request::get(address)).await?;
    Ok(Response::builder().status(*got.status()).body(got.into_body()).build())
}
