/** The playground, which is bundled by itself (site/playground) and loaded where it is looked at. */
import { withBase } from 'vitepress';
import { defineComponent, h, onBeforeUnmount, onMounted, ref } from 'vue';
import '../../playground/playground.css';

export const Playground = defineComponent({
  setup() {
    const place = ref<HTMLElement>();
    let remove: (() => void) | undefined;
    let isGone = false;
    onMounted(async () => {
      const { mount } = await import(/* @vite-ignore */ withBase('/playground/playground.js'));
      if (place.value !== undefined && !isGone) remove = mount(place.value);
    });
    onBeforeUnmount(() => {
      isGone = true;
      remove?.();
    });
    // Its looks are its own, not those of the text around it.
    return () => h('div', { ref: place, class: 'playground vp-raw' });
  },
});
