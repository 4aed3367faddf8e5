//! Greets whoever asks, and passes on what is at the address that the header `x-ask` names.

use spin_sdk::{
    http::{EmptyBody, IntoResponse, Request, send},
    http_service,
};

#[http_service]
async fn handle(request: Request) -> anyhow::Result<impl IntoResponse> {
    let Some(address) = request.headers().get("x-ask") else {
        let name = std::env::var("NAME").unwrap_or_else(|_| "Spin".to_owned());
        return Ok(format!("Hello from {name}: {} {}\n", request.method(), request.uri().path()).into_response()?);
    };
    let asked = Request::get(address.to_str()?).body(EmptyBody::new())?;
    Ok(send(asked).await?.into_response()?)
}
