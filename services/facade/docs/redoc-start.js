// Runs in the browser, on /redoc.
const { openapi } = document.currentScript.dataset;

window.addEventListener('load', () => {
  Redoc.init(openapi, { nativeScrollbars: true }, document.getElementById('page'));
});
