/**
 * A picture in mermaid's language, drawn where it is read. mermaid is loaded as its authors built it, since bundling it
 * again took half of the site's build.
 */
import { useData, withBase } from 'vitepress';
import { defineComponent, h, onMounted, ref, watch } from 'vue';

let drawn = 0;

export const Mermaid = defineComponent({
  props: { code: { type: String, required: true } },
  setup(props) {
    const svg = ref('');
    const { isDark } = useData();
    const draw = async (): Promise<void> => {
      const { default: mermaid } = await import(
        /* @vite-ignore */ withBase('/mermaid/mermaid.esm.min.mjs')
      );
      mermaid.initialize({ startOnLoad: false, theme: isDark.value ? 'dark' : 'default' });
      drawn += 1;
      ({ svg: svg.value } = await mermaid.render(
        `mermaid-${drawn}`,
        decodeURIComponent(props.code),
      ));
    };
    onMounted(draw);
    watch(isDark, draw);
    return () => h('div', { class: 'mermaid', innerHTML: svg.value });
  },
});
