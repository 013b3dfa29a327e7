// Runs in the browser, on /docs.
const { openapi } = document.currentScript.dataset;

window.addEventListener('load', () => {
  SwaggerUIBundle({
    url: openapi,
    dom_id: '#page',
    deepLinking: true,
    displayRequestDuration: true,
    tryItOutEnabled: true,
    persistAuthorization: false,
    // Otherwise the document would be sent to a server on the internet.
    validatorUrl: null,
  });
});
