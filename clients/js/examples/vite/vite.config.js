// In an application: `plugins: [react()]`. esbuild draws JSX as well.
export default { esbuild: { jsx: 'automatic' }, build: { target: 'es2022' } };
