import type { Texts } from "."; const texts: Texts = {}; export default texts;
