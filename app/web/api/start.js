// No badge: it would ask another site what it thinks of our description.
window.addEventListener("load", function () {
  window.ui = SwaggerUIBundle({
    url: document.getElementById("api").dataset.description,
    dom_id: "#api",
    deepLinking: true,
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
  });
});
