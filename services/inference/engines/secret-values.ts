/** Words for a secret: long ones anywhere at the end of a part of a name ("HF_TOKEN", "APIKEY"), short ones alone. */
const SECRET_NAME =
  /(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL)S?(?:_|$)|(?:^|_)(?:PASS|PWD|PAT|AUTH)(?:_|$)/i;

/** The password in an address, whatever the name of its variable. */
const PASSWORD_IN_ADDRESS = /:\/\/[^\s/:@]*:([^\s/@]+)@/g;

/** Shorter ones stand in any line. */
const SHORTEST_SECRET = 4;

/** What a variable says that switches something, whatever its name: masked, it would take words out of all lines. */
const SWITCHES = new Set(['true', 'false', 'none', 'null', 'auto', 'enabled', 'disabled', 'default']);

/** The texts in variables that no log may show. A value of several lines is several texts: logs come line by line. */
export function secretValues(variables: Readonly<Record<string, string>>): string[] {
  const found = Object.entries(variables).flatMap(([name, value]) => [
    ...(SECRET_NAME.test(name) ? value.split(/[\r\n]+/) : []),
    ...[...value.matchAll(PASSWORD_IN_ADDRESS)].map(([, password]) => password ?? ''),
  ]);
  const texts = found.map((text) => text.trim());
  return texts.filter((text) => text.length >= SHORTEST_SECRET && !SWITCHES.has(text.toLowerCase()));
}
