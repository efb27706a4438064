interface ImportMetaEnv {
  readonly VITE_HALLPASS_URL: string;
}
