const texts = {} as const; export default texts; export type Text = string;
