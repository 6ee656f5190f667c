// What a client's `User-Agent` means, in short: every browser claims to be Mozilla.

const BROWSERS: [RegExp, string][] = [
  [/\bEdg(?:A|iOS)?\/(\d+)/, 'Edge'], [/\bOPR\/(\d+)/, 'Opera'], [/\b(?:Firefox|FxiOS)\/(\d+)/, 'Firefox'],
  [/\b(?:Chrome|CriOS|HeadlessChrome)\/(\d+)/, 'Chrome'], [/\bVersion\/(\d+)[\d.]* (?:Mobile\/\S+ )?Safari\//, 'Safari'],
];
const SYSTEMS: [RegExp, string][] = [
  [/\bWindows\b/, 'Windows'], [/\b(?:iPhone|iPad)\b/, 'iOS'], [/\bMac OS X\b/, 'macOS'], [/\bAndroid\b/, 'Android'],
  [/\bCrOS\b/, 'ChromeOS'], [/\bLinux\b/, 'Linux'],
];

/** `Firefox 128, Windows`; another program's own words. */
export function agentName(agent: string): string {
  for (const [pattern, name] of BROWSERS) {
    const version = pattern.exec(agent)?.[1];
    if (version === undefined) continue;
    const system = SYSTEMS.find(([one]) => one.test(agent))?.[1];
    return system ? `${name} ${version}, ${system}` : `${name} ${version}`;
  }
  return agent;
}
