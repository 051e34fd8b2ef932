// Show what Fire said about this very page.
fetch(location.href, { method: "HEAD" }).then((answer) => {
  const lines = [`HTTP/1.1 ${answer.status} ${answer.statusText}`];
  for (const [name, value] of answer.headers) lines.push(`${name}: ${value}`);
  document.getElementById("headers").textContent = lines.join("\n");
});
