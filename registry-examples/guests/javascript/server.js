// Serves HTTP with the event `fetch`, as JavaScript does it elsewhere.

addEventListener('fetch', (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const { pathname } = new URL(request.url);
  switch (pathname) {
    // The body goes back while it comes.
    case '/echo':
      return new Response(request.body, { headers: { 'content-type': request.headers.get('content-type') } });
    case '/shout':
      return new Response((await request.text()).toUpperCase());
    case '/fail':
      throw new Error('on purpose');
    default:
      return new Response(`Hello from JavaScript: ${request.method} ${pathname}\n`);
  }
}
