import DefaultTheme from 'vitepress/theme';
import type { Theme } from 'vitepress';
import { Mermaid } from './mermaid.ts';
import { Playground } from './playground.ts';

export default {
  extends: DefaultTheme,
  enhanceApp({ app }) {
    app.component('Mermaid', Mermaid);
    app.component('Playground', Playground);
  },
} satisfies Theme;
